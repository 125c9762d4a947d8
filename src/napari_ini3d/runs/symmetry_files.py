"""Output files of the symmetry search at the end of a run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_ini3d.runs.folder import RunFolder
from napari_ini3d.runs.storage import are_of_kinds, read_facts, write_facts

_KINDS = {"requested": str, "group": str, "verdict": str}


@dataclass(frozen=True, slots=True)
class SymmetryFiles:
    """Symmetry files in a run folder.

    Attributes
    ----------
    folder : RunFolder
    """

    folder: RunFolder

    @property
    def aligned_path(self) -> Path:
        """The map with its symmetry axes aligned to RELION's convention."""
        return self.folder.path / "initial_model_aligned.mrc"

    @property
    def symmetrised_path(self) -> Path:
        """The aligned map with the symmetry imposed."""
        return self.folder.path / "initial_model_symmetrised.mrc"

    @property
    def particles_path(self) -> Path:
        """The particles of the last iteration, with poses for the aligned map."""
        return self.folder.path / "particles_aligned.star"

    @property
    def picture_path(self) -> Path:
        """Picture of the map before and after, with its axes and curves."""
        return self.folder.pictures_path / "symmetry.png"

    @property
    def facts_path(self) -> Path:
        """JSON file with group, verdict, rotation, shift, axes and curves."""
        return self.folder.path / "symmetry.json"

    def paths(self) -> list[Path]:
        """Return all of them, the facts last."""
        return [
            self.aligned_path,
            self.symmetrised_path,
            self.particles_path,
            self.picture_path,
            self.facts_path,
        ]

    def clear(self) -> None:
        """Delete the files from an earlier end of the run; those of others are kept."""
        self.folder.remove_outputs(*reversed(self.paths()))

    def write_facts(self, facts: Mapping[str, Any]) -> None:
        """Write the results as JSON."""
        self.folder.claim(self.facts_path)
        write_facts(self.facts_path, facts)

    def read_facts(self) -> dict[str, Any] | None:
        """Return the results; None if symmetry was not searched for, or the file is damaged."""
        facts = read_facts(self.facts_path)
        if facts is None or not are_of_kinds(facts, _KINDS, self.facts_path):
            return None
        return facts
