"""Tancik et al. 2020: Fourier Features Let Networks Learn High Frequency Functions in Low Dimensional Domains.

A module per kind of experiment; `image` has Tables 1 and 3, Figures 1, 6, 10, 15, sweeps and learning curves.
"""
