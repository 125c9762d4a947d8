"""Directions of the screen, as the camera of a viewer sees them."""

from __future__ import annotations

from typing import Any

import numpy as np

from napari_ini3d._types import Float64, FloatArray


def screen_directions(viewer: Any) -> Float64:
    """Return to the right, upwards, and towards the user: unit vectors (3, 3), (x, y, z)."""
    camera = viewer.scene.camera
    view, up = (
        np.array(vector[-3:], np.float64)[::-1]
        for vector in (camera.view_direction, camera.up_direction)
    )
    return np.stack([np.cross(view, up), up, -view])


def directions_in_layer(directions: FloatArray, scene_from_layer: FloatArray) -> Float64:
    """Return directions (N, 3) of the scene in a layer: unit vectors, (x, y, z).

    Parameters
    ----------
    directions : (N, 3)
        (x, y, z).
    scene_from_layer : (3, 3) or (4, 4)
        For (z, y, x).
    """
    matrix = np.asarray(scene_from_layer, np.float64)[:3, :3][::-1, ::-1]  # of (x, y, z)
    found = np.asarray(directions) @ np.linalg.inv(matrix).T
    return np.asarray(found / np.linalg.norm(found, axis=1, keepdims=True))
