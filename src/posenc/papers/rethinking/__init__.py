"""Zheng, Ramasinghe, Lucey 2021, Rethinking Positional Encoding, and 2022, Trading Positional Complexity vs. Deepness.

Their own numbers of figures and tables are not known: R-F1 to R-F13 are this project's names of the authors' output
files.
"""
