"""Napari plugin; the only package that uses Qt, magicgui and napari."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
