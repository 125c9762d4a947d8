"""Compute kernels for CPU and GPU, and the backend that holds them.

Only this code is written once per device; the rest of the engine is array code.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
