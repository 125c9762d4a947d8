"""JSON values of symmetry reports, alignments and validations."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from napari_ini3d.symmetry.records import (
        FoundAxis,
        GroupCandidate,
        SymmetryAlignment,
        SymmetryBreak,
        SymmetryReport,
        SymmetryValidation,
    )

_DIGITS = 9


def report_values(report: SymmetryReport) -> dict[str, Any]:
    """Return a report as values that JSON can hold."""
    return {
        "group": report.group,
        "verdict": report.verdict,
        "candidates": [_candidate_values(candidate) for candidate in report.candidates],
        "diameter": plain(report.diameter),
        "voxel_size": plain(report.voxel_size),
        "warnings": list(report.warnings),
    }


def _candidate_values(candidate: GroupCandidate) -> dict[str, Any]:
    return {
        "group": candidate.group,
        "score": plain(candidate.score),
        "fsc05": plain(candidate.fsc05),
        "axes": [_axis_values(axis) for axis in candidate.axes],
        "holds": bool(candidate.holds),
        "pseudo": _break_values(candidate.pseudo),
        "verdict": candidate.verdict,
        "rotation": plain(candidate.rotation),
        "centre": plain(candidate.centre),
        "fsc": plain(candidate.fsc),
    }


def alignment_values(alignment: SymmetryAlignment) -> dict[str, Any]:
    """Return an alignment as values that JSON can hold: x_out = rotation (x_in - shift)."""
    return {
        "group": alignment.group,
        "rotation": plain(alignment.transform.rotation),
        "shift": plain(alignment.transform.shift),
        "score": plain(alignment.score),
        "fsc05": plain(alignment.fsc05),
        "holds": bool(alignment.holds),
        "pseudo": _break_values(alignment.pseudo),
        "verdict": alignment.verdict,
        "axes": [_axis_values(axis) for axis in alignment.axes],
        "fsc": plain(alignment.fsc),
        "voxel_size": plain(alignment.voxel_size),
        "warnings": list(alignment.warnings),
    }


def validation_values(validation: SymmetryValidation) -> dict[str, Any]:
    """Return a validation as values that JSON can hold, without its maps."""
    return {
        "group": validation.group,
        "holds": bool(validation.holds),
        "pseudo": _break_values(validation.pseudo),
        "verdict": validation.verdict,
        "resolution": plain(validation.resolution),
        "limited_by_noise": bool(validation.limited_by_noise),
        "agreement": plain(validation.agreement),
        "correlation": plain(validation.correlation),
        "axes": [_axis_values(axis) for axis in validation.axes],
        "frequency": plain(validation.frequency),
        "fsc": plain(validation.fsc),
        "copies_fsc": plain(validation.copies_fsc),
        "expected_fsc": plain(validation.expected_fsc),
        "diameter": plain(validation.diameter),
        "voxel_size": plain(validation.voxel_size),
    }


def _break_values(found: SymmetryBreak | None) -> dict[str, Any] | None:
    if found is None:
        return None
    return {
        "resolution": plain(found.resolution),
        "difference": plain(found.difference),
        "angle": plain(found.angle),
        "axis_order": int(found.axis_order),
        "axis": plain(found.axis),
        "subgroup": found.subgroup,
        "subunits": [
            {"place": plain(one.place), "difference": plain(one.difference)}
            for one in found.subunits
        ],
    }


def _axis_values(axis: FoundAxis) -> dict[str, Any]:
    return {
        "order": int(axis.order),
        "direction": plain(axis.direction),
        "score": plain(axis.score),
    }


def plain(value: Any) -> Any:
    """Return numbers and arrays as JSON has them; NaN and Inf become None."""
    if isinstance(value, np.ndarray | list | tuple):
        return [plain(item) for item in value]
    number = float(value)
    return round(number, _DIGITS) if math.isfinite(number) else None
