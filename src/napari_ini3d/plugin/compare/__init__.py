"""The dock *Compare maps*: two maps side by side, their FSC and their slices."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
