"""Layers of maps, axes and particles, and parts that the docks share."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
