"""Measures: what a trained network is asked, without training. This file imports none of them."""
