"""Input and output files of the commands of `ini3d symmetry`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import typer

from napari_ini3d._types import Float32
from napari_ini3d.cli.outputs import refuse_overwriting
from napari_ini3d.cli.session import errors
from napari_ini3d.cli.symmetry.display import print_outputs
from napari_ini3d.geometry import PointGroup
from napari_ini3d.io import Map, PreparedMap, prepare_map
from napari_ini3d.runs import ClassChoice, RunClass, RunFolder, ValidationFiles, choose_class
from napari_ini3d.symmetry import SymmetryAlignment, align_symmetry

EXIT_GROUP_FAILS = 4


@dataclass(frozen=True, slots=True)
class MapChoice:
    """A map, or the folder of a run and one of its classes (default: the largest).

    Attributes
    ----------
    path : Path
    choice : str or None
        Class of a run.
    voxel_size : float or None
        Å, instead of that in the header of a map.
    """

    path: Path
    choice: ClassChoice | None = None
    voxel_size: float | None = None


@dataclass(frozen=True, slots=True)
class AlignRequest:
    """The group whose axes are searched for, and how."""

    group: str
    keep_centre: bool = False
    only_rot: bool = False
    resolution: float | None = None
    threads: int = 0

    def __post_init__(self) -> None:
        PointGroup.parse(self.group)  # an unknown name is refused before any file is read

    def align(
        self, map_: Map | PreparedMap, half_maps: tuple[Float32, Float32] | None = None
    ) -> SymmetryAlignment:
        """Find the alignment of the map to the group's axes, with its noise if there are halves."""
        return align_symmetry(
            map_.data,
            self.group,
            voxel_size=map_.voxel_size,
            keep_centre=self.keep_centre,
            only_rot=self.only_rot,
            resolution=self.resolution,
            half_maps=half_maps,
            threads=self.threads,
        )


@dataclass(frozen=True, slots=True)
class Outputs:
    """Files to write, and the particles to rotate."""

    map_path: Path
    particles: Path | None = None
    particles_output: Path | None = None
    picture: Path | None = None
    difference: Path | None = None
    force: bool = False

    def paths(self) -> dict[str, str]:
        """Return the paths to write, by their content."""
        found = {
            "output": self.map_path,
            "particles_output": self.particles_output,
            "picture": self.picture,
            "difference": self.difference,
        }
        return {name: str(path) for name, path in found.items() if path is not None}

    def values(self, *, written: bool) -> dict[str, str | None]:
        """Return the paths for JSON: null where nothing was written."""
        return {name: path if written else None for name, path in self.paths().items()}

    def conclude(self, *, holds: bool, as_json: bool) -> None:
        """Report what was written, and exit with an error code if the group does not hold.

        Raises
        ------
        typer.Exit
            With 4 where the group does not hold and nothing was forced.
        """
        if holds or self.force:
            if not as_json:
                print_outputs(self.paths())
            return
        errors.print("Nothing was written; give --force to write anyway.")
        raise typer.Exit(EXIT_GROUP_FAILS)


@dataclass(frozen=True, slots=True)
class MapInput:
    """A map, its path, and of that of a run its particles, its class, and the run if it is judged.

    A run validates its largest class, which is also its result.
    """

    map_: PreparedMap
    path: Path
    particles: Path | None = None
    run_class: RunClass | None = None
    validated: RunFolder | None = None

    def read_half_maps(self) -> tuple[Float32, Float32] | None:
        """Return the independent half-maps in the box of the map; None if there are none."""
        if self.validated is None:
            return None
        return ValidationFiles(self.validated).read_half_maps(len(self.map_.data))


def read_chosen(chosen: MapChoice, score: Callable[[Map], tuple[float, ...]]) -> MapInput:
    """Read a map, or that of the chosen class of a run together with its last particles.

    Parameters
    ----------
    chosen : MapChoice
    score : callable
        Larger for a more symmetric map, see `choose_class`.

    Raises
    ------
    MapError, RunFolderError
        If there is no map that can be used.
    typer.BadParameter
        If a class is given, but the path is not a run folder.
    """
    if chosen.path.is_dir():
        folder = RunFolder.open(chosen.path)
        found = choose_class(folder, chosen.choice or "largest", score)
        map_ = prepare_map(found.map_path, voxel_size=chosen.voxel_size)
        validated = folder if chosen.choice in (None, "largest") else None
        return MapInput(map_, found.map_path, found.particles_path, found, validated)
    if chosen.choice is not None:
        raise typer.BadParameter(
            f"--class chooses among the maps of a run; {chosen.path} is not a run folder"
        )
    map_ = prepare_map(chosen.path, voxel_size=chosen.voxel_size)
    return MapInput(map_, chosen.path, validated=_run_of_result(chosen.path))


def _run_of_result(path: Path) -> RunFolder | None:
    """Return the run of which a map is the result, as it is written; None for other maps."""
    folder = RunFolder(path.parent)
    return folder if path.absolute() == folder.map_path.absolute() else None


def particles_to_change(given: MapInput, outputs: Outputs) -> Path | None:
    """Return the particles that follow the map: those given, or those of the run; else None."""
    if outputs.particles is not None and outputs.particles_output is None:
        raise typer.BadParameter("--particles needs --particles-output; give the file to write")
    if outputs.particles_output is None:
        return None
    particles = outputs.particles or given.particles
    if particles is None:
        raise typer.BadParameter(
            "--particles-output needs --particles, or a run folder as MAP; give one of them"
        )
    return particles


def check_outputs(given: MapInput, outputs: Outputs, mask: Path | None = None) -> None:
    """Raise `SettingsError` if an output would replace an input."""
    targets = [Path(path) for path in outputs.paths().values()]
    refuse_overwriting(targets, [given.path, given.particles, outputs.particles, mask])
