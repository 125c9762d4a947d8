"""Figure of what a viewer shows: picture, scale, directions of the axes, levels and caption."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from napari_ini3d._types import AnyArray, Float64
from napari_ini3d.errors import InputError
from napari_ini3d.plugin.export.chimerax_scene import shown_maps, view_of
from napari_ini3d.plugin.viewer import (
    FRAME_COLOURS,
    MapMeshes,
    has_symmetry_axes,
    level_in_sigma,
    screen_directions,
)
from napari_ini3d.report import ScenePicture

_LEAST_SIDE = 16  # pixels
_SCALE = 2  # pixels of the figure per pixel of the canvas


def take_picture(viewer: Any) -> ScenePicture:
    """Return a picture of what a viewer shows, for a figure.

    Raises
    ------
    InputError
        If no map is shown.
    """
    layers = shown_maps(viewer)
    text = viewer.canvas.overlays.text
    title = text.text if text.visible else ""
    with enlarged(viewer):
        pixels = canvas_pixels(viewer, scale=_SCALE)
    view = view_of(viewer)
    levels = (f"{layer.name}: level {level_in_sigma(layer):.1f} σ" for layer in layers)
    axes = (layer.name for layer in viewer.layers if layer.visible and has_symmetry_axes(layer))
    return ScenePicture(
        pixels=pixels,
        pixel_size=pixel_size(viewer, pixels),
        axes=axes_on_screen(viewer),
        axis_colours=(FRAME_COLOURS["X"], FRAME_COLOURS["Y"], FRAME_COLOURS["Z"]),
        caption=tuple(filter(None, (title, "; ".join(levels), "; ".join(axes)))),
        in_perspective=view.perspective > 0,
    )


def canvas_pixels(viewer: Any, *, scale: int = 1) -> AnyArray:
    """Return the canvas of a viewer (h, w, 3), without the text on it.

    Raises
    ------
    InputError
        If the canvas has no room, because docks take all of the window.
    """
    if min(viewer.canvas.size) < _LEAST_SIDE:
        raise InputError(
            "there is no room for a picture in the window; make it larger, or the docks narrower"
        )
    with without_text(viewer):
        pixels = viewer.screenshot(canvas_only=True, flash=False, scale=scale)
    return np.ascontiguousarray(pixels[..., :3])


def is_drawing(viewer: Any) -> bool:
    """Tell whether the mesh of a map that is shown is not up to date yet."""
    meshes = (MapMeshes.of(viewer).find(layer) for layer in viewer.layers if layer.visible)
    return any(mesh is not None and mesh.busy for mesh in meshes)


def pixel_size(viewer: Any, pixels: AnyArray) -> float:
    """Return the size of a pixel of a screenshot at the centre of the scene, Å."""
    _, width = viewer.canvas.size
    return float(width / pixels.shape[1] / viewer.scene.camera.zoom)


def axes_on_screen(viewer: Any) -> Float64:
    """Return X, Y and Z (rows) on the screen: to the right, up, and towards the viewer."""
    return screen_directions(viewer).T


@contextmanager
def enlarged(viewer: Any) -> Iterator[None]:
    """Zoom in as far as a screenshot has more pixels, for which napari keeps the pixels per Å."""
    camera = viewer.scene.camera
    zoom = camera.zoom
    camera.zoom = zoom * _SCALE
    try:
        yield
    finally:
        camera.zoom = zoom


@contextmanager
def without_text(viewer: Any) -> Iterator[None]:
    """Hide the text on the canvas for a while; it is written below a figure instead."""
    text = viewer.canvas.overlays.text
    visible = text.visible
    text.visible = False
    try:
        yield
    finally:
        text.visible = visible
