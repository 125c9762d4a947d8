"""The version of the installed distribution; pyproject.toml is its only source."""

from importlib.metadata import version

__version__ = version("napari-ini3d")
