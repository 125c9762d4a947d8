"""Centred Fourier transforms, resizing, shells and FSC.

Conventions, tested in tests/fourier: the real-space origin of an array of n samples is sample
n // 2; transforms carry no phase ramp for an object at that origin; 2D and 3D half transforms
have their zero frequency at index 0 of every axis and only non-negative frequencies on the last.
"""
