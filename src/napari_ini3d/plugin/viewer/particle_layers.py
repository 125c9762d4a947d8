"""CTF and mask circle of particle images.

The CTF layer has the particle as its first axis, like the images, so that both follow the same
slider.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import napari
import numpy as np
from napari.components import ViewerModel
from napari.layers import Image, Layer, Shapes
from napari.utils.notifications import show_error

from napari_ini3d._types import FloatArray, IntArray
from napari_ini3d.errors import Ini3dError, InputError, SettingsError
from napari_ini3d.io import is_particle_file, read_particles
from napari_ini3d.optics import compute_ctf, ctf_parameters
from napari_ini3d.particles import ImageBatch, Particles
from napari_ini3d.plugin import METADATA_KEY, LazyFrames
from napari_ini3d.plugin.viewer.map_layers import find_layer
from napari_ini3d.plugin.viewer.mask_circle import CIRCLE_COLOUR, circle_corners
from napari_ini3d.plugin.viewer.metadata import get_metadata
from napari_ini3d.plugin.viewer.shown_volume import all_frames
from napari_ini3d.preflight import estimate_mask_diameter

_GAP = 0.05  # between image and CTF, as a fraction of the image width
_SAMPLE = 200  # images from which the mask diameter is estimated; the window waits
_AXES = ("y", "x")


def show_ctf(viewer: ViewerModel, layer: Image) -> Image:
    """Show the CTF of each particle to the right of its image, from Nyquist to Nyquist.

    White is +1, black is -1, the zero frequency is in the middle. An existing layer is shown
    again.

    Parameters
    ----------
    viewer : napari viewer
    layer : napari.layers.Image
        Particles of a STAR file or a dataset of cryoSPARC, from the plugin's reader.

    Raises
    ------
    InputError
        If the layer has no such file, or the file has no CTF parameters.
    """
    path = _path_of(layer)
    if not is_particle_file(path):
        raise InputError(
            f"{path.name} is a stack without CTF; open the STAR file or the .cs file of its "
            "particles"
        )
    key = f"{path}, CTF"
    existing = find_layer(viewer, key)
    if existing is not None:
        existing.visible = True
        return existing
    particles, _ = read_particles(path, ctf=True)
    count = len(all_frames(layer))
    if len(particles) != count:
        raise InputError(
            f"{path} has {len(particles)} particles, but its layer has {count}; the file "
            "has changed; open it again"
        )
    viewer.dims.ndisplay = 2
    return _add_ctf(viewer, layer, particles, key)


def show_mask_circle(viewer: ViewerModel, layer: Image, diameter: float | None = None) -> Shapes:
    """Draw the mask as a circle about the centre of each particle image.

    An existing circle is resized.

    Parameters
    ----------
    viewer : napari viewer
    layer : napari.layers.Image
        Particle images, from the plugin's reader.
    diameter : float, optional
        Å (pixels if the pixel size is unknown). Default: estimated from the images.

    Raises
    ------
    InputError
        If the layer has no particle images.
    SettingsError
        If the diameter is not positive.
    """
    _check_particles(layer)
    if diameter is None:
        diameter = _estimate_diameter(layer)
    if not 0 < diameter < np.inf:
        raise SettingsError(f"mask diameter is {diameter:g}; it must be positive")
    key = f"{_path_of(layer)}, mask"
    unit = "Å" if get_metadata(layer, "pixel_size") else "pixels"
    viewer.dims.ndisplay = 2  # napari cannot change flat shapes in 3D
    circle: Any = find_layer(viewer, key) or _add_circle(viewer, layer, key, diameter)
    circle.data = [circle_corners(diameter)]
    circle.name = f"mask of {diameter:.0f} {unit}"
    circle.visible = True
    return circle


def show_ctf_of_selected(viewer: napari.Viewer) -> None:
    """Show the CTF of the selected particles; for napari's Layers menu."""
    _do(viewer, show_ctf)


def show_mask_circle_on_selected(viewer: napari.Viewer) -> None:
    """Show the mask circle on the selected particles; for napari's Layers menu."""
    _do(viewer, show_mask_circle)


def particles_to_show(viewer: ViewerModel) -> Image:
    """Return the selected layer of particles, or the only one.

    Raises
    ------
    InputError
        If there is none, or several and none is selected.
    """
    active = viewer.layers.selection.active
    if active is not None and _is_particles(active):
        return active
    found = [layer for layer in viewer.layers if _is_particles(layer)]
    if len(found) == 1:
        return found[0]
    if found:
        raise InputError(f"{len(found)} layers show particles; select one of them")
    raise InputError(
        "no layer shows particles; open a particles.star or a .cs file first (File > Open "
        "File(s)…), or a sample from File > Open Sample"
    )


@dataclass(frozen=True, slots=True)
class LayerImages:
    """The images of a layer, as an `ImageSource`."""

    frames: LazyFrames
    pixel_size: float

    @property
    def box_size(self) -> int:
        """Pixels per side."""
        return int(self.frames.shape[-1])

    def batches(self, indices: Iterable[IntArray]) -> Iterator[ImageBatch]:
        """Yield one batch per array of numbers, in order."""
        for index in indices:
            yield ImageBatch(index, self.frames.read(index)[:, 0, 0])


def _add_ctf(viewer: ViewerModel, layer: Image, particles: Particles, key: str) -> Image:
    side, pixel_size = layer.data.shape[-1], float(layer.scale[-1])
    read = ctf_reader(particles, side, pixel_size)
    frames = LazyFrames(len(particles), (1, 1, side, side), lambda index: read(index)[:, None])
    translate = np.array(layer.translate)
    translate[-1] += side * pixel_size * (1 + _GAP)
    shown = viewer.add_image(
        frames,
        name=f"CTF to {2 * pixel_size:.1f} Å",
        colormap="gray",
        contrast_limits=(-1.0, 1.0),
        scale=layer.scale,
        translate=translate,
        units=layer.units,
        axis_labels=layer.axis_labels,
        metadata={METADATA_KEY: {"kind": "ctf", "key": key}},
    )
    viewer.layers.selection.active = layer
    viewer.reset_view()
    return shown


def ctf_reader(
    particles: Particles, side: int, pixel_size: float
) -> Callable[[IntArray], FloatArray]:
    """Return a function that computes CTF images (B, 1, side, side).

    Parameters
    ----------
    particles : Particles
    side : int
        Pixels; the zero frequency is at pixel side // 2.
    pixel_size : float
        Of the images, Å; the border is at the Nyquist frequency.
    """
    frequency = (np.arange(side) - side // 2) / (side * pixel_size)
    fx, fy = frequency[None, :], frequency[:, None]

    def read(index: IntArray) -> FloatArray:
        taken = [particles.take(np.array([i])) for i in index]
        images = [compute_ctf(ctf_parameters(p, int(p.optics_index[0])), fx, fy) for p in taken]
        return np.stack(images)

    return read


def _add_circle(viewer: ViewerModel, layer: Image, key: str, diameter: float) -> Shapes:
    active = viewer.layers.selection.active
    circle = viewer.add_shapes(
        [circle_corners(diameter)],
        shape_type="ellipse",
        edge_color=CIRCLE_COLOUR,
        face_color="transparent",
        edge_width=float(layer.scale[-1]) / 2,
        units=tuple(layer.units)[-2:],
        axis_labels=_AXES,
        metadata={METADATA_KEY: {"kind": "particle mask", "key": key}},
    )
    viewer.layers.selection.active = active  # keep the images selected
    return circle


def _estimate_diameter(layer: Image) -> float:
    """Estimate the mask diameter from some of the images, spread over the stack."""
    index = np.unique(np.linspace(0, len(all_frames(layer)) - 1, _SAMPLE).astype(np.int64))
    return float(round(estimate_mask_diameter(_images_of(layer), index)))


def _images_of(layer: Image) -> LayerImages:
    return LayerImages(all_frames(layer), float(layer.scale[-1]))


def _do(viewer: ViewerModel, show: Callable[[ViewerModel, Image], Layer]) -> None:
    try:
        show(viewer, particles_to_show(viewer))
    except Ini3dError as error:
        show_error(str(error))


def _check_particles(layer: Layer) -> None:
    if not _is_particles(layer):
        raise InputError(
            f"the layer {layer.name} shows no particles; open a particles.star, a .cs file or a "
            "stack (.mrcs)"
        )


def _path_of(layer: Layer) -> Path:
    _check_particles(layer)
    return Path(get_metadata(layer, "path"))


def _is_particles(layer: Layer) -> bool:
    return bool(get_metadata(layer, "kind") == "particles")
