"""Files of the validation at the end of a run: half-maps, their FSC, and the verdict."""

from __future__ import annotations

import logging
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from napari_ini3d._types import Float32
from napari_ini3d.engine import HalfSetMaps
from napari_ini3d.errors import MapError
from napari_ini3d.fourier import resize_map
from napari_ini3d.io import read_map
from napari_ini3d.runs.folder import RunFolder
from napari_ini3d.runs.storage import (
    are_of_kinds,
    load_arrays,
    read_facts,
    save_arrays,
    write_facts,
)

logger = logging.getLogger(__name__)

FSC_CURVES = ("unmasked", "masked", "randomised", "corrected")
"""Names of the curves in the results."""

_KINDS: dict[str, Any] = {
    "verdict": str,
    "reasons": list,
    "resolution_0143": (int, float),
    "resolution_05": (int, float),
    "box_size": int,
    "voxel_size": (int, float),
    "fsc": dict,
}
_MARKS = {"reliable": "✓", "uncertain": "⚠", "failed": "✗"}


@dataclass(frozen=True, slots=True)
class ValidationFiles:
    """Validation files in a run folder.

    Attributes
    ----------
    folder : RunFolder
    """

    folder: RunFolder

    @property
    def half_map_paths(self) -> tuple[Path, Path]:
        """The unfiltered maps of the two independent half-sets."""
        first, second = (self.folder.path / f"initial_model_half{h}.mrc" for h in (1, 2))
        return first, second

    @property
    def facts_path(self) -> Path:
        """JSON file with the verdict, its reasons, resolutions and FSC curves."""
        return self.folder.path / "validation.json"

    @property
    def half_sets_path(self) -> Path:
        """The half-sets as they were refined, until the validation is complete."""
        return self.folder.path / "half_sets.npz"

    def paths(self) -> list[Path]:
        """Return the results, the facts last."""
        return [*self.half_map_paths, self.facts_path]

    def clear(self) -> None:
        """Delete the files from an earlier end of the run; those of others are kept."""
        self.folder.remove_outputs(*reversed(self.paths()), self.half_sets_path)

    def write_half_sets(self, found: HalfSetMaps, volumes: Float32) -> None:
        """Store refined half-sets, so that they are not refined again if the run is resumed.

        Parameters
        ----------
        found : HalfSetMaps
        volumes : (K, n, n, n) float32
            The maps of the run from which they were refined.
        """
        arrays = {
            "maps": found.maps,
            "radius": np.array(found.radius),
            "run": np.array(_checksum(volumes)),
        }
        self.folder.claim(self.half_sets_path)
        save_arrays(self.half_sets_path, arrays)

    def read_half_sets(self, volumes: Float32) -> HalfSetMaps | None:
        """Return the stored half-sets that were refined from the maps of the run.

        None if there are none, or they were refined from other maps, or the file is damaged,
        which is logged.

        Parameters
        ----------
        volumes : (K, n, n, n) float32
        """
        if not self.half_sets_path.is_file():
            return None
        try:
            arrays = load_arrays(self.half_sets_path)
            maps, radius = arrays["maps"], int(arrays["radius"])
            if maps.shape != (2, *volumes.shape) or maps.dtype != np.float32:
                raise ValueError(f"maps of the shape {maps.shape}")
            if not np.isfinite(maps).all() or not 0 < radius <= volumes.shape[-1] // 2:
                raise ValueError("maps or radius are out of range")
            if int(arrays["run"]) != _checksum(volumes):
                return None
        except (OSError, ValueError, TypeError, KeyError) as error:
            logger.warning("%s is damaged (%s); it is ignored", self.half_sets_path, error)
            return None
        return HalfSetMaps(maps, radius)

    def remove_half_sets(self) -> None:
        """Delete the stored half-sets: the validation is complete."""
        self.folder.remove_outputs(self.half_sets_path)

    def write_facts(self, facts: Mapping[str, Any]) -> None:
        """Write the results as JSON."""
        self.folder.claim(self.facts_path)
        write_facts(self.facts_path, facts)

    def read_half_maps(self, box_size: int) -> tuple[Float32, Float32] | None:
        """Return the half-maps resampled to a box; None if the run was not validated.

        Parameters
        ----------
        box_size : int
            Voxels per side, over the width of the half-maps.
        """
        if self.read_facts() is None or not all(path.is_file() for path in self.half_map_paths):
            return None
        try:
            first, second = (read_map(path).data for path in self.half_map_paths)
        except MapError as error:
            logger.warning("%s; the half-maps are not used", error)
            return None
        return resize_map(first, box_size), resize_map(second, box_size)

    def read_facts(self) -> dict[str, Any] | None:
        """Return the results; None if the run was not validated, or the file is damaged."""
        facts = read_facts(self.facts_path)
        if facts is None or not are_of_kinds(facts, _KINDS, self.facts_path):
            return None
        curves = [facts["fsc"].get(name) for name in FSC_CURVES]
        lengths = {len(curve) if isinstance(curve, list) else 0 for curve in curves}
        if (
            len(lengths) != 1
            or 0 in lengths
            or not all(isinstance(v, (int, float)) for c in curves for v in c or ())
        ):
            logger.warning("%s is damaged (fsc); it is ignored", self.facts_path)
            return None
        return facts


def _checksum(volumes: Float32) -> int:
    return zlib.crc32(volumes.tobytes())


def describe_verdict(facts: Mapping[str, Any]) -> str:
    """Return the verdict on a run in words, with the resolution and the reasons.

    Parameters
    ----------
    facts : mapping
        From `ValidationFiles.read_facts`.
    """
    level = str(facts["verdict"])
    text = (
        f"{_MARKS.get(level, '')} {level.capitalize()}: independent half-sets agree to "
        f"{facts['resolution_0143']:.1f} Å (FSC 0.143), {facts['resolution_05']:.1f} Å (FSC 0.5)"
    )
    reasons = [str(reason) for reason in facts["reasons"]]
    return f"{text}. " + "; ".join(reasons) if reasons else text
