"""Theory: neural tangent kernels, their spectra and the training they predict. Always in float64."""
