"""From RELION's optics and particle tables to cryoSPARC's fields."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from napari_ini3d._types import AnyArray, Float64, IntArray
from napari_ini3d.errors import StarError
from napari_ini3d.io.cryosparc.alignments import ALIGNMENT, angles_to_rotation
from napari_ini3d.io.cryosparc.carried import (
    RELION,
    RELION_OPTICS,
    carry_columns,
    restore_fields,
)
from napari_ini3d.io.cryosparc.dataset import UID
from napari_ini3d.io.cryosparc.to_star import NEUTRAL, default_group_names, image_columns
from napari_ini3d.io.star.columns import Column, Columns, read_numbers
from napari_ini3d.io.star.image_names import split_image_names, without_format

_ANGLES = ("rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi")
_ORIGINS = ("rlnOriginX", "rlnOriginY")
_OPTICS = {
    "ctf/accel_kv": "rlnVoltage",
    "ctf/cs_mm": "rlnSphericalAberration",
    "ctf/amp_contrast": "rlnAmplitudeContrast",
}
_OWN_OPTICS = ("rlnOpticsGroup", "rlnImagePixelSize", "rlnImageSize", "rlnImageDimensionality")
_VECTORS = {
    "ctf/shift_A": 2,
    "ctf/tilt_A": 2,
    "ctf/trefoil_A": 2,
    "ctf/tetra_A": 4,
    "ctf/anisomag": 4,
}


@dataclass(frozen=True, slots=True)
class StarTables:
    """Tables of a particle STAR file in the layout of RELION 3.1.

    Attributes
    ----------
    path : Path
        For messages.
    optics, particles : mapping of str to array
    path_of : callable
        Path of a stack in the dataset, by its name without RELION's format.
    box_of : callable
        Box (pixels) of the images of a stack, by its name; called if the optics table has none.
    """

    path: Path
    optics: Columns
    particles: Columns
    path_of: Callable[[str], str]
    box_of: Callable[[str], int]

    def __len__(self) -> int:
        return len(self.particles["rlnImageName"])

    def optics_column(self, name: str) -> Column:
        """Return a column of the optics table for each particle (N,)."""
        return self.optics[name][self.optics_row()]

    def optics_row(self) -> IntArray:
        """Return the row of each particle's group in the optics table.

        Raises
        ------
        StarError
            If a group is not in the optics table.
        """
        known = read_numbers(self.path, self.optics, "rlnOpticsGroup", table="data_optics")
        wanted = read_numbers(self.path, self.particles, "rlnOpticsGroup")
        order = np.argsort(known)
        place = np.minimum(np.searchsorted(known[order], wanted), len(known) - 1)
        rows = order[place]
        unknown = np.flatnonzero(known[rows] != wanted)
        if unknown.size:
            raise StarError(
                f"{self.path}: particles name optics group {wanted[unknown[0]]:g}, but data_optics "
                f"has {known.astype(int).tolist()}; add the group or export the particles again"
            )
        return rows

    def numbers(self, name: str) -> Float64:
        """Return a column of the optics table for each particle, as numbers (N,)."""
        return read_numbers(self.path, self.optics, name, table="data_optics")[self.optics_row()]


def to_fields(tables: StarTables) -> dict[str, AnyArray]:
    """Return the fields of a dataset for the tables of a STAR file.

    Particles get the uid of the column cs/uid, or one made from their image names. Columns without
    a field of cryoSPARC are carried in fields such as `relion/rlnGroupName`.

    Raises
    ------
    StarError
        If a column is missing, or a value is not a number.
    """
    carried = restore_fields(tables.particles)
    pixel_size = tables.numbers("rlnImagePixelSize")
    uids = carried.pop(UID, None)
    if uids is None:
        uids = make_uids(tables.particles["rlnImageName"].tolist())
    fields: dict[str, AnyArray] = {UID: uids}
    blob, exact = _blob_fields(tables, pixel_size, carried)
    fields |= blob | _ctf_fields(tables)
    fields |= _alignment_fields(tables, pixel_size, carried)
    fields |= {name: values for name, values in carried.items() if name != "blob/path"}
    spare = _spare_columns(tables.particles, fields, exact_names=exact)
    fields |= carry_columns(tables.particles, spare, RELION)
    optics = {name: tables.optics_column(name) for name in _spare_optics(tables.optics, fields)}
    fields |= carry_columns(optics, optics, RELION_OPTICS)
    return fields


def make_uids(names: list[str]) -> AnyArray:
    """Return a uid (N,) for each image name, always the same for the same names."""
    seen: set[int] = set()
    uids = np.empty(len(names), dtype=np.uint64)
    for row, name in enumerate(names):
        number, copy = _hash(name), 0
        while number in seen or not number:
            copy += 1
            number = _hash(f"{name} {copy}")
        seen.add(number)
        uids[row] = number
    return uids


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(os.fsencode(text), digest_size=8).digest(), "little")


def _blob_fields(
    tables: StarTables, pixel_size: Float64, carried: dict[str, AnyArray]
) -> tuple[dict[str, AnyArray], bool]:
    """Return the fields of the images, and whether the image names follow from them."""
    images = tables.particles["rlnImageName"]
    stacks, stack_index, image_index = split_image_names(images.tolist(), tables.path)
    names = [without_format(name) for name in stacks]
    paths = np.array([os.fsencode(tables.path_of(name)) for name in names])[stack_index]
    own = carried.get("blob/path")
    if own is not None:
        paths = _keep_paths(
            paths, np.array([os.fsencode(name) for name in names])[stack_index], own
        )
    n = len(images)
    fields: dict[str, AnyArray] = {
        "blob/path": paths,
        "blob/idx": image_index.astype(np.uint32),
        "blob/shape": np.repeat(_boxes(tables, stacks, stack_index)[:, None], 2, axis=1),
        "blob/psize_A": pixel_size.astype(np.float32),
        "blob/sign": np.full(n, NEUTRAL["blob/sign"], dtype=np.float32),
        "blob/import_sig": np.zeros(n, dtype=np.uint64),
    }
    made = image_columns(fields, [tables.path_of(name) for name in names], stack_index)
    return fields, own is not None or bool((made == images).all())


def _keep_paths(paths: AnyArray, names: AnyArray, own: AnyArray) -> AnyArray:
    """Return the paths that the file had in cryoSPARC, where the image is still in that stack."""
    rows = zip(paths.tolist(), names.tolist(), own.tolist(), strict=True)
    kept = [had if name.endswith(had.lstrip(b">")) else path for path, name, had in rows]
    return np.array(kept, dtype=np.bytes_)


def _boxes(tables: StarTables, stacks: list[str], stack_index: IntArray) -> AnyArray:
    boxes = np.zeros(len(tables), dtype=np.uint32)
    if "rlnImageSize" in tables.optics:
        boxes = tables.numbers("rlnImageSize").astype(np.uint32)
    for stack in np.unique(stack_index[boxes == 0]):
        boxes[(boxes == 0) & (stack_index == stack)] = tables.box_of(stacks[stack])
    return boxes


def _ctf_fields(tables: StarTables) -> dict[str, AnyArray]:
    """Return the fields of the CTF; none if the STAR file has no defocus."""
    columns, n = tables.particles, len(tables)
    if "rlnDefocusU" not in columns:
        return {}

    def read(name: str) -> Float64:
        return read_numbers(tables.path, columns, name)

    phase = read("rlnPhaseShift") if "rlnPhaseShift" in columns else np.zeros(n)
    fields: dict[str, AnyArray] = {
        "ctf/type": np.full(n, NEUTRAL["ctf/type"], dtype="S9"),
        "ctf/exp_group_id": read("rlnOpticsGroup").astype(np.uint32),
        **{name: tables.numbers(label).astype(np.float32) for name, label in _OPTICS.items()},
        "ctf/df1_A": read("rlnDefocusU").astype(np.float32),
        "ctf/df2_A": read("rlnDefocusV").astype(np.float32),
        "ctf/df_angle_rad": np.deg2rad(read("rlnDefocusAngle")).astype(np.float32),
        "ctf/phase_shift_rad": np.deg2rad(phase).astype(np.float32),
    }
    for name, usual in NEUTRAL.items():
        if name.startswith("ctf/") and name not in fields:
            shape = (n, _VECTORS[name]) if name in _VECTORS else (n,)
            fields[name] = np.full(shape, usual, dtype=np.float32)
    return fields


def _alignment_fields(
    tables: StarTables, pixel_size: Float64, carried: dict[str, AnyArray]
) -> dict[str, AnyArray]:
    """Return the fields of the poses; none if the STAR file has no psi.

    Fields that are carried, such as the error, keep their values.
    """
    columns, n = tables.particles, len(tables)
    if _ANGLES[2] not in columns:
        return {}
    is_2d = not set(_ANGLES) <= columns.keys()
    result = "alignments2D" if is_2d else "alignments3D"
    psize = carried.get(f"{result}/psize_A", pixel_size.astype(np.float32)).astype(np.float64)
    angles = {name: read_numbers(tables.path, columns, name) for name in _ANGLES if name in columns}
    known: dict[str, AnyArray] = {
        "pose": np.deg2rad(angles[_ANGLES[2]])
        if is_2d
        else angles_to_rotation(np.stack(list(angles.values()), axis=1)),
        "shift": _read_origins(tables, pixel_size) / psize[:, None],
        "psize_A": psize,
    }
    if "rlnRandomSubset" in columns:
        known["split"] = read_numbers(tables.path, columns, "rlnRandomSubset") - 1
    if "rlnClassNumber" in columns:
        known["class"] = read_numbers(tables.path, columns, "rlnClassNumber") - 1
    return {
        f"{result}/{name}": np.asarray(known.get(name, np.full(n, usual))).astype(kind)
        for name, (usual, kind) in ALIGNMENT.items()
    }


def _read_origins(tables: StarTables, pixel_size: Float64) -> Float64:
    """Return the origins (N, 2) in Å; zero if there are none."""
    columns = tables.particles
    for suffix, unit in (("Angst", np.ones(len(tables))), ("", pixel_size)):
        names = [f"{name}{suffix}" for name in _ORIGINS]
        if set(names) <= columns.keys():
            found = [read_numbers(tables.path, columns, name) * unit for name in names]
            return np.stack(found, axis=1)
    return np.zeros((len(tables), 2))


def _spare_columns(
    columns: Columns, fields: dict[str, AnyArray], *, exact_names: bool
) -> Iterator[str]:
    """Yield the columns of the particles that no field of cryoSPARC holds."""
    held = {"rlnOpticsGroup"}
    if exact_names:
        held.add("rlnImageName")
    if "ctf/df1_A" in fields:
        held |= {"rlnDefocusU", "rlnDefocusV", "rlnDefocusAngle", "rlnPhaseShift"}
    if "location/micrograph_path" in fields:
        held.add("rlnMicrographName")
    if any(f"{result}/pose" in fields for result in ("alignments3D", "alignments2D")):
        held |= {*_ANGLES, "rlnClassNumber", *_ORIGINS, *(f"{name}Angst" for name in _ORIGINS)}
        if "rlnRandomSubset" in columns and len(np.unique(columns["rlnRandomSubset"])) == 2:
            held.add("rlnRandomSubset")
    yield from (name for name in columns if name not in held and not name.startswith("cs/"))


def _spare_optics(optics: Columns, fields: dict[str, AnyArray]) -> Iterator[str]:
    held = {*_OWN_OPTICS, *(_OPTICS.values() if "ctf/df1_A" in fields else ())}
    names = default_group_names(optics["rlnOpticsGroup"])
    if "rlnOpticsGroupName" in optics and (optics["rlnOpticsGroupName"] == names).all():
        held.add("rlnOpticsGroupName")
    yield from (name for name in optics if name not in held)
