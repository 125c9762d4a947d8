"""Transform of a map layer in the scene, and previews of motions without resampling.

Points of a map are (x, y, z) in voxels from its rotation centre, voxel n // 2. A layer takes them
to the scene by its scale, translation and affine. A trial previews a motion without resampling:
its affine is changed so that the point x of the map appears where ``rotation @ (x - shift)`` was.
The *base*, the affine set by the user, is kept and applied afterwards.

The metadata of a layer have the entries ``trial`` (`Trial`) and ``origin`` (`Origin`); the ORIGIN
of the header of its file is ``file_origin``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from napari.layers import Image, Layer
from scipy.spatial.transform import Rotation

from napari_ini3d._types import Float64, FloatArray
from napari_ini3d.errors import MapError
from napari_ini3d.fourier import check_map_values, mirror_map, rotate_map
from napari_ini3d.geometry import RigidTransform
from napari_ini3d.plugin.viewer.metadata import get_metadata, set_metadata
from napari_ini3d.plugin.viewer.shown_volume import shown_volume

_ANGSTROM_PER_UNIT = {"angstrom": 1.0, "nanometer": 10.0, "pixel": 1.0}
_TOLERANCE = 1e-3


@dataclass(frozen=True, eq=False)
class Origin:
    """Origin of the values of a layer: the original map, and the motion applied to it.

    Attributes
    ----------
    volume : (n, n, n)
        The original map, or its mirror image.
    flipped : bool
        True if `volume` is the mirror image.
    motion : RigidTransform
        From `volume` to `result`.
    result : (n, n, n)
        The values of the layer; if it has others by now, the record is out of date.
    """

    volume: FloatArray
    flipped: bool
    motion: RigidTransform
    result: FloatArray

    def moved(self, motion: RigidTransform) -> Origin:
        """Return the map after one more motion; the original is resampled once."""
        whole = motion.after(self.motion)
        result = rotate_map(self.volume, whole.rotation, whole.shift)
        return Origin(self.volume, self.flipped, whole, result)

    def mirrored(self) -> Origin:
        """Return the mirror image, without interpolation."""
        return Origin(
            mirror_map(self.volume),
            not self.flipped,
            self.motion.mirrored(),
            mirror_map(self.result),
        )


@dataclass(frozen=True, eq=False)
class Trial:
    """A motion that is shown, but not applied.

    Attributes
    ----------
    motion : RigidTransform
    base : (4, 4) float64
        The affine of the layer without the motion.
    """

    motion: RigidTransform
    base: Float64


def is_map_layer(layer: Layer) -> bool:
    """Tell whether a layer shows maps: an image with cubic volumes, not particles."""
    if not isinstance(layer, Image) or layer.rgb or layer.multiscale or layer.ndim not in (3, 4):
        return False
    own = get_metadata(layer, "kind")
    return len(set(layer.data.shape[-3:])) == 1 and layer.data.shape[-1] > 1 and own != "particles"


def voxel_size_of(layer: Layer) -> float:
    """Return the voxel size of a layer, Å.

    Raises
    ------
    MapError
        If it differs between the axes, or the units are not lengths.
    """
    scale = np.asarray(layer.scale, dtype=float)[-3:]
    units = {str(unit) for unit in layer.units[-3:]}
    if scale.max() / scale.min() - 1 > _TOLERANCE:
        text = " x ".join(f"{side:g}" for side in scale)
        raise MapError(
            f"{layer.name}: scale {text} differs between the axes; expected one voxel size; set "
            "the scale of the layer, or resample the map"
        )
    if len(units) != 1 or not units <= _ANGSTROM_PER_UNIT.keys():
        raise MapError(
            f"{layer.name}: units {', '.join(sorted(units))}; expected one of "
            f"{', '.join(_ANGSTROM_PER_UNIT)} for all axes; set the units of the layer"
        )
    return float(scale[0]) * _ANGSTROM_PER_UNIT[units.pop()]


def origin_of(viewer: Any, layer: Image) -> Origin:
    """Return the origin of the map that a layer shows.

    Raises
    ------
    MapError
        If the map is not finite, or constant.
    """
    recorded = get_metadata(layer, "origin")
    if recorded is not None and recorded.result is layer.data:
        origin: Origin = recorded
        return origin
    volume = shown_volume(viewer, layer)
    check_map_values(volume, layer.name)
    return Origin(volume, False, RigidTransform.identity(), volume)


def transform_by_hand(degrees: FloatArray, voxels: FloatArray) -> RigidTransform:
    """Return a rotation about X, then Y, then Z, followed by a shift along them.

    Parameters
    ----------
    degrees, voxels : (3,)
        x, y, z.
    """
    rotation = Rotation.from_euler("xyz", degrees, degrees=True).as_matrix()
    return RigidTransform.rotate_then_shift(rotation, voxels)


def trial_of(layer: Layer) -> RigidTransform:
    """Return the motion of the trial of a layer; the identity if there is none."""
    trial = get_metadata(layer, "trial")
    return RigidTransform.identity() if trial is None else trial.motion


def base_affine(layer: Layer) -> Float64:
    """Return the affine (4, 4) of a layer without its trial."""
    trial = get_metadata(layer, "trial")
    if trial is None:
        return _last_axes(layer.affine.affine_matrix)
    return np.asarray(trial.base)


def try_motion(layer: Layer, motion: RigidTransform) -> None:
    """Show a layer as if it had been moved; its values are not changed."""
    trial = Trial(motion, base_affine(layer))
    set_metadata(layer, trial=trial)
    place_trial(layer)
    if motion.is_identity:
        end_trial(layer)


def place_trial(layer: Layer) -> None:
    """Update the affine of a trial after scale or translation have changed."""
    trial = get_metadata(layer, "trial")
    if trial is None:
        return
    physical = _physical_from_map(layer)
    moved = trial.base @ physical @ trial.motion.matrix @ np.linalg.inv(physical)
    _set_affine(layer, moved)


def rebase_trial(layer: Layer) -> None:
    """Use an affine that the user has set as the new base of a trial."""
    trial = get_metadata(layer, "trial")
    if trial is None:
        return
    physical = _physical_from_map(layer)
    moved = physical @ trial.motion.matrix @ np.linalg.inv(physical)
    base = _last_axes(layer.affine.affine_matrix) @ np.linalg.inv(moved)
    set_metadata(layer, trial=Trial(trial.motion, base))


def end_trial(layer: Layer) -> None:
    """End the trial of a layer."""
    trial = get_metadata(layer, "trial")
    if trial is None:
        return
    set_metadata(layer, trial=None)
    _set_affine(layer, trial.base)


def scene_from_map(layer: Layer, *, moved: bool = True) -> Float64:
    """Return the matrix (4, 4) from (z, y, x, 1) of the map to the scene.

    Parameters
    ----------
    layer : napari layer
    moved : bool
        Include the trial.
    """
    base = base_affine(layer) @ _physical_from_map(layer)
    return base @ trial_of(layer).matrix if moved else base


def _physical_from_map(layer: Layer) -> Float64:
    """Return the matrix of scale, translation, rotation and shear for (z, y, x, 1) of the map."""
    corners = np.zeros((4, layer.ndim))
    corners[1:, -3:] = np.eye(3)
    scene = np.array([layer.data_to_world(corner) for corner in corners])[:, -3:]
    matrix = np.eye(4)
    matrix[:3, :3] = (scene[1:] - scene[0]).T
    matrix[:3, 3] = scene[0]
    indices = np.eye(4)
    indices[:3, 3] = np.array(layer.data.shape[-3:]) // 2
    affine = _last_axes(layer.affine.affine_matrix)
    return np.asarray(np.linalg.inv(affine) @ matrix @ indices)


def _last_axes(affine: FloatArray) -> Float64:
    """Return the block (4, 4) of an affine for the last three axes."""
    keep = [*range(len(affine) - 4, len(affine) - 1), len(affine) - 1]
    return np.array(affine, dtype=np.float64)[np.ix_(keep, keep)]


def _set_affine(layer: Layer, matrix: Float64) -> None:
    whole = np.array(layer.affine.affine_matrix, dtype=np.float64)
    keep = [*range(len(whole) - 4, len(whole) - 1), len(whole) - 1]
    whole[np.ix_(keep, keep)] = matrix
    layer.affine = whole
