"""The dock *Initial model*: form, run panel, log and run history."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
