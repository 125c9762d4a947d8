"""Centred Fourier transforms, shells, FSC, resampling and masks.

Conventions, tested in tests/fourier: the real-space origin of an array of n samples is sample
n // 2; transforms carry no phase ramp for an object at that origin; 2D and 3D half transforms
have their zero frequency at index 0 of every axis and only non-negative frequencies on the last.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
