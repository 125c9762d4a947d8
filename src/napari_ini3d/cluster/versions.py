"""Versions of the packages whose code decides the bits of a result."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from importlib.metadata import version

from napari_ini3d import __version__

_PACKAGES = ("numpy", "scipy", "numba", "llvmlite")


def package_versions() -> dict[str, str]:
    """Return the versions of this package, of Python, and of the packages that compute."""
    found = {"napari-ini3d": __version__, "python": platform.python_version()}
    return found | {name: version(name) for name in _PACKAGES}


def describe_differences(expected: Mapping[str, str], found: Mapping[str, str]) -> str:
    """Return the packages whose versions differ; empty if none does."""
    different = [
        f"{name} {found.get(name, 'missing')} instead of {wanted}"
        for name, wanted in expected.items()
        if found.get(name) != wanted
    ]
    return ", ".join(different)
