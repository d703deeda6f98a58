"""Networks: features to values. One class per network; this file imports none of them."""
