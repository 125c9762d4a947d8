"""Checks of the arrays of a checkpoint: types, shapes, ranges, and finite values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields

import numpy as np

from napari_ini3d._types import AnyArray
from napari_ini3d.particles import Assignments

_N_PHASES = 4
_N_GROUPS = 4  # of starts
_EARLIER_COUNTERS = 6, 7
_MODEL_KINDS = {"numerator": "c", "blended_numerator": "c"}
_SUMS = ("numerator", "denominator", "blended_numerator", "blended_denominator")
_INTEGERS = ("class_index", "n_significant")
_ROUNDING = 1e-3
_RANGES = {
    "rot": (-360.0, 360.0),
    "tilt": (-360.0, 360.0),
    "psi": (-360.0, 360.0),
    "n_significant": (0.0, np.inf),
    "max_probability": (0.0, 1 + _ROUNDING),
    "junk_probability": (0.0, 1 + _ROUNDING),
}


def check_arrays(arrays: Mapping[str, AnyArray], models: Sequence[int]) -> None:
    """Refuse arrays that are not those of a state, before they are used.

    Parameters
    ----------
    arrays : mapping
        As `EngineState.to_arrays` returns them.
    models : sequence of int
        Numbers of the models.

    Raises
    ------
    ValueError
        If one has another type, shape or range than it must have, or is not finite.
    KeyError
        If one is missing.
    """
    counters = _get(arrays, "counters", "i", (None,))
    recent = {"assignments.scale", "models.0.group"}
    if len(counters) in _EARLIER_COUNTERS or ("models.0.maps" in arrays and recent - set(arrays)):
        raise ValueError("it is from an earlier version, whose runs cannot be resumed by this one")
    _get(arrays, "counters", "i", (8,))
    if (counters < 0).any() or counters[1] >= _N_PHASES:
        raise ValueError("counters are out of range")
    power = _get(arrays, "typical_power", "f", (None, None))
    if np.isnan(power).any() or (power < 0).any():
        raise ValueError("typical_power is out of range")
    _get(arrays, "start_agreement", "f", (None,))
    if not models or list(models) != list(range(len(models))):
        raise ValueError("models are missing")
    n_classes = {_check_model(arrays, f"models.{i}", power.shape) for i in models}
    compared = slice(1, int(counters[5]) + 1)  # shells: images are divided by their noise
    for i in models:
        if (arrays[f"models.{i}.sigma2"][:, compared] <= 0).any():
            raise ValueError(f"models.{i}.sigma2 is out of range")
    if "alternative.fsc_radius" in arrays:
        if _get(arrays, "alternative.fsc_radius", "i", ()) < 0:
            raise ValueError("alternative.fsc_radius is out of range")
        n_classes.add(_check_model(arrays, "alternative", power.shape))
    if len(n_classes) != 1:
        raise ValueError("models differ in their number of classes")
    _check_assignments(arrays, n_classes.pop())
    _check_drift(arrays)


def _check_model(arrays: Mapping[str, AnyArray], prefix: str, noise: tuple[int, ...]) -> int:
    """Check a model, and return its number of classes."""
    maps = _finite(arrays, f"{prefix}.maps", "f", (None, None, None, None))
    n_classes, n = maps.shape[:2]
    if not n_classes or maps.shape[1:] != (n, n, n) or noise[1] != n // 2 + 1:
        raise ValueError(f"{prefix}.maps has the shape {maps.shape}")
    for name in _SUMS:
        sums = arrays[f"{prefix}.{name}"]
        if not sums.size and name.startswith("blended"):
            continue
        found = _finite(arrays, f"{prefix}.{name}", _MODEL_KINDS.get(name, "f"), None)
        if found.ndim != 5 or found.shape[:2] != (n_classes, 2):
            raise ValueError(f"{prefix}.{name} has the shape {found.shape}")
    if arrays[f"{prefix}.numerator"].shape != arrays[f"{prefix}.denominator"].shape:
        raise ValueError(f"{prefix}: numerator and denominator differ in shape")
    if (_finite(arrays, f"{prefix}.sigma2", "f", noise) < 0).any():
        raise ValueError(f"{prefix}.sigma2 is out of range")
    shares = _finite(arrays, f"{prefix}.class_shares", "f", (n_classes,))
    if (shares < 0).any() or not shares.sum() > 0:
        raise ValueError(f"{prefix}.class_shares are out of range")
    if _finite(arrays, f"{prefix}.sigma_offset", "f", ()) < 0:
        raise ValueError(f"{prefix}.sigma_offset is out of range")
    if not 0 <= _get(arrays, f"{prefix}.group", "i", ()) < _N_GROUPS:
        raise ValueError(f"{prefix}.group is out of range")
    evidence = _finite(arrays, f"{prefix}.evidence", "f", (None,))
    _finite(arrays, f"{prefix}.fsc_sum", "f", evidence.shape)
    return int(n_classes)


def _check_assignments(arrays: Mapping[str, AnyArray], n_classes: int) -> None:
    n_particles = len(_get(arrays, "assignments.class_index", "i", (None,)))
    for field in fields(Assignments):
        kind = "i" if field.name in _INTEGERS else "f"
        _finite(arrays, f"assignments.{field.name}", kind, (n_particles,))
    ranges = {"class_index": (-1, n_classes - 1), **_RANGES}
    for name, (low, high) in ranges.items():
        values = arrays[f"assignments.{name}"]
        if (values < low).any() or (values > high).any():
            raise ValueError(f"assignments.{name} is out of range")
    if (arrays["assignments.scale"] <= 0).any():
        raise ValueError("assignments.scale is out of range")


def _check_drift(arrays: Mapping[str, AnyArray]) -> None:
    _finite(arrays, "drift.maps", "f", (None, None, None, None))
    for name in ("drift.radius", "drift.age"):
        if _get(arrays, name, "i", ()) < 0:
            raise ValueError(f"{name} is out of range")
    if np.isnan(_get(arrays, "drift.ratio", "f", ())):
        raise ValueError("drift.ratio is not a number")


def _finite(
    arrays: Mapping[str, AnyArray], name: str, kind: str, shape: tuple[int | None, ...] | None
) -> AnyArray:
    found = _get(arrays, name, kind, shape)
    if not np.isfinite(found).all():
        raise ValueError(f"{name} has values that are not finite")
    return found


def _get(
    arrays: Mapping[str, AnyArray], name: str, kind: str, shape: tuple[int | None, ...] | None
) -> AnyArray:
    """Return an array of some kind and shape; None stands for any length."""
    found = arrays[name]
    if found.dtype.kind != kind:
        raise ValueError(f"{name} has the type {found.dtype}")
    if shape is not None and (
        found.ndim != len(shape)
        or any(want is not None and want != n for want, n in zip(shape, found.shape, strict=True))
    ):
        raise ValueError(f"{name} has the shape {found.shape}")
    return found
