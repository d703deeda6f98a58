"""Problems: what is observed of a signal, and how a prediction is scored. This file imports none of them."""
