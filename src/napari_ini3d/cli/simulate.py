"""`ini3d simulate`: simulated particles of a phantom or a map, as files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from napari_ini3d.cli.display import emit, say
from napari_ini3d.errors import MapError
from napari_ini3d.io import prepare_map
from napari_ini3d.runs import RunFolder
from napari_ini3d.simulation import (
    MapMolecule,
    Molecule,
    Phantom,
    SimulationSettings,
    simulate_particles,
    write_dataset,
)

_BOX_SIZE, _PIXEL_SIZE = 64, 3.0


@dataclass(frozen=True, slots=True)
class Molecules:
    """The molecules to simulate, and their images' box (pixels) and pixel size (Å)."""

    first: Molecule
    other: Molecule | None
    box_size: int
    pixel_size: float


def read_molecules(
    phantom: Phantom | None,
    map_path: Path | None,
    other_path: Path | None,
    *,
    grid: tuple[int | None, float | None],
    micelle: bool,
) -> Molecules:
    """Return a phantom or the molecule of a map, and that of a second map.

    Parameters
    ----------
    phantom : Phantom, optional
        Not used if there is a map.
    map_path, other_path : Path, optional
        Maps of the first and the second state.
    grid : (int or None, float or None)
        Box size in pixels and pixel size in Å. Default: those of the map, else 64 and 3.
    micelle : bool
        Put the molecules into a micelle.

    Raises
    ------
    MapError
        If a map cannot be read.
    """
    box_size, pixel_size = grid
    first: Molecule
    if map_path is None:
        assert phantom is not None
        first, default = phantom, (_BOX_SIZE, _PIXEL_SIZE)
    else:
        first = _read_molecule(map_path, pixel_size)
        default = len(first.data), first.voxel_size
    box_size, pixel_size = box_size or default[0], pixel_size or default[1]
    other: Molecule | None = _read_molecule(other_path, pixel_size) if other_path else None
    if micelle:
        first = MapMolecule.with_micelle(first, box_size, pixel_size)
        other = other and MapMolecule.with_micelle(other, box_size, pixel_size)
    return Molecules(first, other, box_size, pixel_size)


def simulate_files(
    output: Path, molecules: Molecules, settings: SimulationSettings, *, as_json: bool
) -> None:
    """Write simulated particles, and print their path."""
    RunFolder.check_free(output)
    first, other = molecules.first, molecules.other
    simulated = simulate_particles(first, settings, other)
    star = write_dataset(output, simulated, first, other=other)
    if as_json:
        emit("simulated", {"particles": str(star), "diameter": first.diameter})
        return
    source = "phantom" if isinstance(first, Phantom) else "map"
    diameter = f"{first.diameter:.0f} Å"
    say(f"{settings.number} particles of a {source} of {diameter} in diameter: {star}")
    say(f"Truth: {output / 'truth.mrc'}, {output / 'truth.star'}")


def _read_molecule(path: Path, pixel_size: float | None) -> MapMolecule:
    """Read a map; the pixel size is that of a map whose header has none."""
    try:
        found = prepare_map(path)
    except MapError:
        if pixel_size is None:
            raise
        found = prepare_map(path, voxel_size=pixel_size)
    return MapMolecule(found.data, found.voxel_size)
