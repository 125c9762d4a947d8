"""What a run leaves about the symmetry of its map, beside the map itself."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_ini3d.io import atomic_path
from napari_ini3d.runs.folder import RunFolder, explain_os_errors


@dataclass(frozen=True, slots=True)
class SymmetryFiles:
    """The files about symmetry in the folder of a run.

    Attributes
    ----------
    folder : RunFolder
    """

    folder: RunFolder

    @property
    def aligned_path(self) -> Path:
        """The map with its axes on RELION's setting."""
        return self.folder.path / "initial_model_aligned.mrc"

    @property
    def symmetrised_path(self) -> Path:
        """That map with the point group imposed."""
        return self.folder.path / "initial_model_symmetrised.mrc"

    @property
    def particles_path(self) -> Path:
        """The particles of the last iteration, turned with the map."""
        return self.folder.path / "particles_aligned.star"

    @property
    def picture_path(self) -> Path:
        """The map before and after, with its axes and curves."""
        return self.folder.pictures_path / "symmetry.png"

    @property
    def facts_path(self) -> Path:
        """Group, verdict, rotation, shift, axes and curves."""
        return self.folder.path / "symmetry.json"

    def clear(self) -> None:
        """Take away what an earlier end of the run left."""
        with explain_os_errors(self.folder.path):
            for path in (
                self.aligned_path,
                self.symmetrised_path,
                self.particles_path,
                self.picture_path,
                self.facts_path,
            ):
                path.unlink(missing_ok=True)

    def write_facts(self, facts: Mapping[str, Any]) -> None:
        """Write what was found, as JSON."""
        with atomic_path(self.facts_path) as temporary:
            temporary.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")

    def read_facts(self) -> dict[str, Any] | None:
        """Return what was found; None where nothing was looked for."""
        if not self.facts_path.is_file():
            return None
        found: dict[str, Any] = json.loads(self.facts_path.read_text(encoding="utf-8"))
        return found
