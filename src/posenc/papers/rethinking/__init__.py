"""Zheng, Ramasinghe, Lucey 2021: Rethinking Positional Encoding; and 2022: Trading Positional Complexity vs. Deepness.

Neither paper's own numbering is known: ids such as R-F3 name groups of figures that the authors' notebooks write.
"""
