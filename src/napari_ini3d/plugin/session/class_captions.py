"""Captions of classes that are shown side by side: number, occupancy and resolution."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from napari_ini3d.plugin import class_colour
from napari_ini3d.plugin.viewer import ClassCaption
from napari_ini3d.runs import IterationSummary

_EMPTY_SHARE = 0.005  # of the particles; less is written as 0 %


@dataclass(frozen=True)
class ClassValues:
    """Values of the classes in an iteration, one entry per class.

    Attributes
    ----------
    resolution : list of float
        Å.
    shares : list of float
        Of the particles; may be shorter.
    """

    resolution: list[float] = field(default_factory=list)
    shares: list[float] = field(default_factory=list)

    @classmethod
    def of(cls, summary: IterationSummary) -> ClassValues:
        """Return those of an iteration."""
        return cls(summary.resolution, summary.class_shares)


def class_captions(
    classes: Sequence[int], n_classes: int, values: ClassValues
) -> list[ClassCaption]:
    """Return the captions of classes (from 0), such as ``class 1 · 63 % · 12.3 Å``."""
    return [
        ClassCaption(_text(k, values), class_colour(k, n_classes) if n_classes > 1 else "#ffffff")
        for k in classes
    ]


def _text(k: int, values: ClassValues) -> str:
    share = values.shares[k] if k < len(values.shares) else math.nan
    resolution = values.resolution[k] if k < len(values.resolution) else math.nan
    words = [f"class {k + 1}"]
    if math.isfinite(share):
        words.append(f"{share:.0%}".replace("%", " %"))
    if share < _EMPTY_SHARE:  # the resolution of a map without particles says nothing
        words.append("empty")
    elif math.isfinite(resolution):
        words.append(f"{resolution:.1f} Å")
    return " · ".join(words)
