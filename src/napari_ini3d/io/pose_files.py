"""Poses in a file of any format: reading, and changes that belong to those of a map."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path

from napari_ini3d._types import AnyArray
from napari_ini3d.errors import CryosparcError
from napari_ini3d.geometry import RigidTransform
from napari_ini3d.io.conversion import convert_to_cryosparc, convert_to_star
from napari_ini3d.io.cryosparc.alignments import read_alignment
from napari_ini3d.io.cryosparc.dataset import describe_results
from napari_ini3d.io.cryosparc.particles import read_particle_fields, split_paths
from napari_ini3d.io.cryosparc.to_star import image_columns, to_star_tables
from napari_ini3d.io.files import temporary_folder
from napari_ini3d.io.particles import is_cryosparc
from napari_ini3d.io.star import poses as star
from napari_ini3d.particles import ParticlePoses

logger = logging.getLogger(__name__)

_RESULT = "alignments3D"


def read_poses(path: Path | str) -> ParticlePoses:
    """Read the image names and poses of particles; their stacks need not exist.

    Particles of class 0, which a run of this package never used, have no pose and are left out.

    Parameters
    ----------
    path : Path or str
        STAR file, or dataset of cryoSPARC (`.cs`).

    Raises
    ------
    StarError, CryosparcError
        If the file cannot be read, has no poses, or describes 3D particles.
    """
    source = Path(path)
    if not is_cryosparc(source):
        return star.read_poses(source)
    fields = _read_fields(source)
    images = image_columns(fields, *split_paths(source, fields))
    optics, columns = to_star_tables(source, fields, images, ctf=False, everything=False)
    return star.poses_of(source, optics, columns)


def rotate_particles(source: Path | str, target: Path | str, transform: RigidTransform) -> None:
    """Write particles with the poses that belong to an aligned map.

    In a STAR file only the angles and origins are changed, in the rows of all classes; the maps of
    other classes have to be rotated in the same way. A dataset of cryoSPARC keeps its fields, apart
    from ``alignments3D``.

    Parameters
    ----------
    source : Path or str
        Particles with the poses of a 3D reconstruction: STAR file, or dataset of cryoSPARC.
    target : Path or str
        File to write, completely or not at all; in the format of its name.
    transform : RigidTransform
        Of the map, Å, such as that of a `SymmetryAlignment`.

    Raises
    ------
    StarError, CryosparcError
        If the source cannot be read, has no poses, or describes 3D particles.
    RunFolderError
        If the target cannot be written.
    """

    def rotate(read: Path, written: Path) -> None:
        star.rotate_particles(read, written, transform)

    _change(Path(source), Path(target), rotate)


def flip_particles(source: Path | str, target: Path | str) -> None:
    """Write particles with the poses that belong to the mirrored map (`mirror_map`).

    Parameters and errors are those of `rotate_particles`.
    """
    _change(Path(source), Path(target), star.flip_particles)


def _change(source: Path, target: Path, change: Callable[[Path, Path], None]) -> None:
    """Change poses in a STAR file, to and from which datasets of cryoSPARC are converted."""
    template = source if is_cryosparc(source) else None
    if template is not None:
        _warn_of_others(template, _read_fields(template))
    with temporary_folder() as folder:
        before, after = folder / "before.star", folder / "after.star"
        if template is not None:
            convert_to_star(template, before)
        else:
            before = source
        if not is_cryosparc(target):
            change(before, target)
            return
        change(before, after)
        for note in convert_to_cryosparc(after, target, template=template).notes:
            logger.warning("%s: %s", target, note)


def _read_fields(path: Path) -> dict[str, AnyArray]:
    """Return the fields of a dataset of particles that have poses."""
    fields = read_particle_fields(path, ctf=False)
    alignment = read_alignment(path, fields)
    if alignment is None or alignment.is_2d:
        raise CryosparcError(
            f"{path}: no poses of a 3D reconstruction (found: {describe_results(fields)}); "
            "expected alignments3D; give the particles' .cs file of a refinement or an ab-initio "
            "reconstruction"
        )
    return fields


def _warn_of_others(path: Path, fields: Mapping[str, AnyArray]) -> None:
    """Say which poses of a dataset stay as they are: RELION has no columns for them."""
    results = dict.fromkeys(name.partition("/")[0] for name in fields)
    stale = [name for name in results if name.startswith("alignments") and name != _RESULT]
    if stale:
        logger.warning("%s: %s not changed; they belong to the map before", path, ", ".join(stale))
