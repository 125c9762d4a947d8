"""De novo cryo-EM initial models: from particles to a 3D map, live in napari or headless.

The public names stand in ``__init__.pyi`` and are loaded when they are first used, so that
importing the package loads neither Qt, napari nor CuPy.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
