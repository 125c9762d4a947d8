"""Comparison of two maps (registration, FSC and correlation) and of two sets of poses."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
