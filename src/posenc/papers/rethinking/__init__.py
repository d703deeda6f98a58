"""Zheng, Ramasinghe, Lucey 2021: Rethinking Positional Encoding; and its successor, Zheng et al. 2022."""
