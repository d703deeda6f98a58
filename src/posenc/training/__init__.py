"""Training: the fit loop, precision, devices, and what a fit leaves on disk."""
