"""Relaxation of a symmetry: each particle in the asymmetric unit that fits it best."""
