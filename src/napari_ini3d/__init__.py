"""De novo cryo-EM initial models: from particles to a 3D map, live in napari or headless.

Importing the package loads neither Qt, napari nor CuPy.
"""

__version__ = "0.1.0"
