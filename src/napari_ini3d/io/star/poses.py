"""Poses in a particle STAR file: reading, and changes that keep all other bytes of the file.

To rotate or mirror them, only the values of the angles and origins are replaced. Blocks, columns,
their order, comments and the format of all other values stay the same.
"""

from __future__ import annotations

import logging
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np

from napari_ini3d._types import Float64
from napari_ini3d.errors import StarError
from napari_ini3d.geometry import RigidTransform, flip_angles, rotate_poses
from napari_ini3d.io.files import atomic_path
from napari_ini3d.io.star.blocks import LoopBlock, find_loops, is_row, open_byte_range
from napari_ini3d.io.star.columns import Columns, read_numbers
from napari_ini3d.io.star.format import quote
from napari_ini3d.io.star.image_names import locate_stacks, split_image_names
from napari_ini3d.io.star.optics import convert_single_table, read_optics_groups
from napari_ini3d.io.star.particles import ParticleTable, rename_images
from napari_ini3d.io.star.tables import find_particle_loop, read_tables
from napari_ini3d.particles import ParticlePoses

logger = logging.getLogger(__name__)

NewColumns = Mapping[str, Float64]

_ANGLES = ("rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi")
_ORIGINS = ("rlnOriginX", "rlnOriginY")
_PRIOR = re.compile(r"rln(Angle|Origin)\w*Prior")
_PIECE = re.compile(rb"""\s+|"[^"]*"(?=\s|$)|'[^']*'(?=\s|$)|\S+""")


def read_poses(path: Path | str) -> ParticlePoses:
    """Read the image names and poses of a particle STAR file; its stacks need not exist.

    Particles of class 0, which a run of this package never used, have no pose and are left out.

    Raises
    ------
    StarError
        If the file cannot be read, has no angles, has particles of class 0 only, or describes 3D
        particles.
    """
    star_path = Path(path)
    return poses_of(star_path, *read_tables(star_path))


def poses_of(star_path: Path, optics: Columns | None, columns: Columns) -> ParticlePoses:
    """Return the image names and poses of a particle table, as `read_poses` does.

    Parameters
    ----------
    star_path : Path
        File of the table, for messages.
    optics, columns : mapping
        Tables of the optics groups, if there is one, and of the particles.
    """
    angles = _read_angles(star_path, columns)
    origins = _Origins.read(star_path, optics, columns).angstrom
    names, stack_index, image_index = split_image_names(columns["rlnImageName"].tolist(), star_path)
    used = np.ones(len(angles), dtype=bool)
    if "rlnClassNumber" in columns:
        used = read_numbers(star_path, columns, "rlnClassNumber") >= 1
    if not used.any():
        raise StarError(
            f"{star_path}: all {len(used)} particles have rlnClassNumber 0, which means no pose; "
            "expected particles with the poses of a 3D reconstruction"
        )
    return ParticlePoses(
        source=str(star_path),
        stack_names=tuple(names),
        stack_index=stack_index[used],
        image_index=image_index[used],
        angles=angles[used],
        origins=origins[used],
        n_unassigned=int((~used).sum()),
    )


def rotate_particles(source: Path | str, target: Path | str, transform: RigidTransform) -> None:
    """Write particles with the poses that belong to an aligned map.

    Only the angles and origins (in Å, or in pixels as in RELION 3.0) are changed, in the rows of
    all classes; the maps of other classes have to be rotated in the same way. Origins are added
    if the file has none.

    Parameters
    ----------
    source : Path or str
        STAR file of particles with the poses of a 3D reconstruction.
    target : Path or str
        STAR file to write, completely or not at all.
    transform : RigidTransform
        Of the map, Å, such as that of a `SymmetryAlignment`.

    Raises
    ------
    StarError
        If the source cannot be read, has no angles, or describes 3D particles.
    RunFolderError
        If the target cannot be written.
    """

    def rotate(path: Path, optics: Columns | None, columns: Columns) -> NewColumns:
        origins = _Origins.read(path, optics, columns)
        angles, moved = rotate_poses(_read_angles(path, columns), origins.angstrom, transform)
        return _angle_columns(angles) | origins.columns(moved)

    _rewrite(Path(source), Path(target), rotate)


def flip_particles(source: Path | str, target: Path | str) -> None:
    """Write particles with the poses that belong to the mirrored map (`mirror_map`).

    Parameters
    ----------
    source : Path or str
        STAR file of particles with the poses of a 3D reconstruction.
    target : Path or str
        STAR file to write, completely or not at all.

    Raises
    ------
    StarError
        If the source cannot be read, has no angles, or describes 3D particles.
    RunFolderError
        If the target cannot be written.
    """

    def flip(path: Path, _optics: Columns | None, columns: Columns) -> NewColumns:
        return _angle_columns(flip_angles(_read_angles(path, columns)))

    _rewrite(Path(source), Path(target), flip)


class _Origins:
    """Origins of a particle table in Å, and their conversion to the units of its columns."""

    def __init__(self, angstrom: Float64, units: dict[str, Float64]) -> None:
        self.angstrom = angstrom  # (N, 2)
        self._units = units  # suffix of the column -> (N,) Å per unit

    @classmethod
    def read(cls, path: Path, optics: Columns | None, columns: Columns) -> _Origins:
        suffixes = [s for s in ("Angst", "") if f"{_ORIGINS[0]}{s}" in columns]
        found = bool(suffixes)
        suffixes = suffixes or (["Angst"] if optics is not None else [""])
        n_rows = len(columns["rlnImageName"])
        units = {"Angst": np.ones(n_rows)} if "Angst" in suffixes else {}
        if "" in suffixes:
            units[""] = _pixel_sizes(path, optics, columns)
        if not found:
            return cls(np.zeros((n_rows, 2)), units)
        names = [f"{name}{suffixes[0]}" for name in _ORIGINS]
        values = np.stack([read_numbers(path, columns, name) for name in names], axis=1)
        return cls(values * units[suffixes[0]][:, None], units)

    def columns(self, angstrom: Float64) -> dict[str, Float64]:
        """Return new origins (N, 2) as columns, in the units of the table."""
        return {
            f"{name}{suffix}": values / unit
            for suffix, unit in self._units.items()
            for name, values in zip(_ORIGINS, angstrom.T, strict=True)
        }


def _pixel_sizes(path: Path, optics: Columns | None, columns: Columns) -> Float64:
    """Return Å per pixel of each particle."""
    if optics is None:
        optics, columns = convert_single_table(path, columns, ctf=False)
    groups, index = read_optics_groups(path, optics, columns, ctf=False)
    return np.array([group.pixel_size for group in groups])[index]


def _read_angles(path: Path, columns: Columns) -> Float64:
    missing = [name for name in _ANGLES if name not in columns]
    if missing:
        raise StarError(
            f"{path}: data_particles has no {' and no '.join(missing)}; expected particles with "
            "the poses of a 3D reconstruction, such as a run's last _data.star"
        )
    return np.stack([read_numbers(path, columns, name) for name in _ANGLES], axis=1)


def _angle_columns(angles: Float64) -> dict[str, Float64]:
    return dict(zip(_ANGLES, angles.T, strict=True))


def _rewrite(
    source: Path,
    target: Path,
    change: Callable[[Path, Columns | None, Columns], NewColumns],
) -> None:
    """Copy a STAR file, and replace the columns that `change` returns."""
    optics, columns = read_tables(source)
    block = find_particle_loop(source, find_loops(source))
    if block.values is not None:
        raise StarError(
            f"{source}: data_{block.name} has one particle and no loop_; expected a table of "
            "particles; write the file again as a loop"
        )
    new = change(source, optics, columns)
    names = _new_names(source, target, columns)
    _warn_of_priors(source, columns)
    added = [name for name in new if name not in columns]
    with atomic_path(target) as temporary, open(temporary, "wb") as file:
        with open_byte_range(source, 0, block.start) as head:
            shutil.copyfileobj(head, file)
        for number, name in enumerate(added, len(block.columns) + 1):
            file.write(f"_{name} #{number}\n".encode())
        file.writelines(_changed_rows(source, block, new, names))
        with open_byte_range(source, block.end, source.stat().st_size) as tail:
            shutil.copyfileobj(tail, file)


def _warn_of_priors(source: Path, columns: Columns) -> None:
    stale = ", ".join(name for name in columns if _PRIOR.fullmatch(name))
    if stale:
        logger.warning("%s: %s not changed; they belong to the map before", source, stale)


def _new_names(source: Path, target: Path, columns: Columns) -> list[bytes] | None:
    """Return the image names for another folder, or None if they stay as they are."""
    images = columns["rlnImageName"].tolist()
    stacks = tuple(locate_stacks(split_image_names(images, source)[0], [source]))
    renamed = rename_images(images, ParticleTable(source, {}, columns, stacks), target).tolist()
    if renamed == images:
        return None
    return [quote(name).encode(errors="surrogateescape") for name in renamed]


def _changed_rows(
    source: Path, block: LoopBlock, new: NewColumns, names: list[bytes] | None
) -> Iterator[bytes]:
    places = {name: place for place, name in enumerate(block.columns)}
    order = sorted(new, key=lambda name: places.get(name, len(places)))
    rounded = [np.round(new[name], 6) + 0.0 for name in order]  # + 0.0: no minus zero
    where = [places[name] for name in order if name in places]
    values = zip(*(column.tolist() for column in rounded), strict=True)
    cells = ([b"%.6f" % value for value in row] for row in values)
    if names is not None:
        where = [places["rlnImageName"], *where]
        cells = ([name, *row] for name, row in zip(names, cells, strict=True))
    with open_byte_range(source, block.start, block.end) as rows:
        for line in rows:
            yield _changed_row(line, where, next(cells)) if is_row(line) else line


def _changed_row(line: bytes, where: list[int], cells: list[bytes]) -> bytes:
    """Replace the values of a row at `where` by the first cells, and append the other cells."""
    body = line.rstrip()
    pieces = _PIECE.findall(body)
    values = [i for i, piece in enumerate(pieces) if not piece.isspace()]
    for place, cell in zip(where, cells, strict=False):
        at = values[place]
        spare = len(pieces[at]) - len(cell)
        pieces[at] = cell
        if at and not pieces[at - 1].strip(b" "):  # keeps the alignment to the right
            pieces[at - 1] = b" " * max(1, len(pieces[at - 1]) + spare)
    extra = b"".join(b" " + cell for cell in cells[len(where) :])
    return b"".join(pieces) + extra + line[len(body) :]
