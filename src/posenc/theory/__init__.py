"""Theory of trained networks: neural tangent kernels, their spectra, and what training by them would give.

Everything is computed in float64 and is exact up to rounding, at every preset. Kernels are functions of the inner
products of the network's inputs, so an encoding enters through its own kernel.
"""
