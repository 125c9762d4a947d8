"""Maps, axes and particles as layers of a viewer, and tasks in a thread beside it."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
