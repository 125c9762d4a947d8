"""Writer of image layers as MRC maps."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from napari_ini3d._types import FloatArray
from napari_ini3d.errors import MapError
from napari_ini3d.io import write_map
from napari_ini3d.plugin.layers import METADATA_KEY, density_scale_of

_ANGSTROM_PER_UNIT = {"angstrom": 1.0, "nanometer": 10.0, "pixel": 1.0}
_TOLERANCE = 1e-3


def write_layer(path: str, data: Any, keywords: Mapping[str, Any]) -> list[str]:
    """Write an image layer as an MRC map, with its scale as voxel size and the origin of its file.

    Parameters
    ----------
    path : str
        ``.mrc``.
    data : (n, n, n)
        Real space (z, y, x).
    keywords : mapping
        Of the layer, from napari: scale, units, rotate, shear, affine, translate, and metadata
        with the factor of the displayed densities.

    Returns
    -------
    list of str
        Path of the file.

    Raises
    ------
    MapError
        If the layer is not a cubic map with one voxel size, or was rotated, sheared or moved: the
        file would differ from what is shown.
    RunFolderError
        If the file cannot be written.
    """
    name = str(keywords.get("name") or "the layer")
    _check_shape(name, data, rgb=bool(keywords.get("rgb")))
    voxel_size = _voxel_size(name, keywords)
    _check_place(name, keywords, data.shape[0])
    densities = _finite(name, np.asarray(data)) / density_scale_of(keywords.get("metadata") or {})
    own = (keywords.get("metadata") or {}).get(METADATA_KEY, {})
    write_map(path, densities, voxel_size, origin=own.get("file_origin") or (0.0, 0.0, 0.0))
    return [str(Path(path))]


def _check_shape(name: str, data: Any, *, rgb: bool) -> None:
    sides = " x ".join(str(side) for side in data.shape)
    if rgb:
        raise MapError(f"{name}: a colour image; expected a map of densities")
    if data.ndim == 4:
        raise MapError(
            f"{name}: {sides} values, a stack of maps; expected one map; save the map of one "
            "iteration (also available as run_itNNN_classMMM.mrc in the run folder)"
        )
    if data.ndim != 3 or len(set(data.shape)) != 1:
        raise MapError(f"{name}: {sides} values; expected a cubic map; crop or pad it")


def _voxel_size(name: str, keywords: Mapping[str, Any]) -> float:
    """Return the voxel size in Å, the same along all axes."""
    scale = np.asarray(keywords.get("scale", (1.0,) * 3), dtype=float)
    text = " x ".join(f"{side:g}" for side in scale)
    if scale.max() / scale.min() - 1 > _TOLERANCE:
        raise MapError(
            f"{name}: scale {text} differs between the axes; expected one voxel size; resample it"
        )
    units = {str(unit) for unit in keywords.get("units") or ("angstrom",)}
    if len(units) != 1 or not units <= _ANGSTROM_PER_UNIT.keys():
        raise MapError(
            f"{name}: units {', '.join(sorted(units))}; expected one of "
            f"{', '.join(_ANGSTROM_PER_UNIT)} for all axes; set the units of the layer"
        )
    return float(scale[0]) * _ANGSTROM_PER_UNIT[units.pop()]


def _check_place(name: str, keywords: Mapping[str, Any], side: int) -> None:
    """Refuse transforms that an MRC file cannot express."""
    rotate, shear, affine = (keywords.get(key) for key in ("rotate", "shear", "affine"))
    if not (_is(rotate, np.eye(3)) and _is(shear, np.zeros(3)) and _is(affine, np.eye(4))):
        raise MapError(
            f"{name}: the layer is rotated, sheared or has an affine; expected a map without; "
            "resample the map first (Apply in the dock Symmetry), or reset the transform of the "
            "layer"
        )
    scale = np.asarray(keywords.get("scale", (1.0,) * 3), dtype=float)
    translate = np.asarray(keywords.get("translate", (0.0,) * 3), dtype=float)
    if not (_is(translate, np.zeros(3)) or _is(translate, -(side // 2) * scale)):
        text = ", ".join(f"{shift:g}" for shift in translate)
        raise MapError(
            f"{name}: the layer was moved (translate {text}); expected voxel {side // 2} or "
            "voxel 0 at the origin; resample the map, or reset translate"
        )


def _is(value: Any, expected: FloatArray) -> bool:
    if value is None:
        return True
    found = np.asarray(value, dtype=float)
    if found.shape != expected.shape:
        return not found.any() and not expected.any()
    return bool(np.allclose(found, expected, atol=_TOLERANCE))


def _finite(name: str, data: FloatArray) -> FloatArray:
    if not np.isrealobj(data):
        raise MapError(f"{name}: complex values; expected a real map")
    bad = int((~np.isfinite(data)).sum())
    if bad:
        raise MapError(
            f"{name}: {bad} voxels are NaN or infinite; expected finite values; repair the map"
        )
    return data
