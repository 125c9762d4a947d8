"""Checks and estimates before a run: files, images, box, memory, disk space and time."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
