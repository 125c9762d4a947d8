"""How maps are drawn: as meshes where OpenGL is computed by the CPU, else as volumes."""

from __future__ import annotations

import functools
import logging
from typing import Literal

from vispy.app import Canvas
from vispy.gloo import gl

from napari_ini3d.plugin.viewer.preference import read_preference

logger = logging.getLogger(__name__)

Rendering = Literal["mesh", "volume"]

_SOFTWARE = ("llvmpipe", "softpipe", "swiftshader", "software rasterizer", "basic render")


def map_rendering() -> Rendering:
    """Return how maps are drawn, from napari's Preferences; automatic: by the OpenGL renderer."""
    wanted = read_preference("display", "maps", "automatic")
    if wanted == "mesh":
        return "mesh"
    if wanted == "volume":
        return "volume"
    return "mesh" if is_software(opengl_renderer()) else "volume"


def is_software(renderer: str) -> bool:
    """Tell whether the name of an OpenGL renderer is that of one that runs on the CPU."""
    return any(name in renderer.lower() for name in _SOFTWARE)


@functools.cache
def opengl_renderer() -> str:
    """Return the name of the OpenGL renderer of the display; empty if it is unknown."""
    try:
        canvas = Canvas(show=False)
        try:
            name = gl.glGetParameter(gl.GL_RENDERER)
        finally:
            canvas.close()
    except (RuntimeError, OSError, AttributeError) as error:
        logger.info("the OpenGL renderer is unknown: %s", error)
        return ""
    logger.info("OpenGL renderer: %s", name)
    return str(name or "")
