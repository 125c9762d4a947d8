"""From cryoSPARC's fields to RELION's optics and particle tables."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from napari_ini3d._types import AnyArray, Float64, Int64, IntArray
from napari_ini3d.errors import CryosparcError
from napari_ini3d.io.cryosparc.alignments import ALIGNMENT, Alignment, read_alignment
from napari_ini3d.io.cryosparc.carried import (
    RELION,
    RELION_OPTICS,
    carry_fields,
    decode,
    restore_columns,
    short_decimals,
)
from napari_ini3d.io.cryosparc.dataset import UID, Fields, read_field
from napari_ini3d.io.star.columns import Column, distinct_rows
from napari_ini3d.io.star.image_names import without_format

logger = logging.getLogger(__name__)

NEUTRAL = {
    "blob/sign": 1.0,
    "blob/import_sig": 0,
    "ctf/type": b"imported",
    "ctf/scale": 1.0,
    "ctf/scale_const": 0.0,
    "ctf/shift_A": 0.0,
    "ctf/tilt_A": 0.0,
    "ctf/trefoil_A": 0.0,
    "ctf/tetra_A": 0.0,
    "ctf/anisomag": 0.0,
    "ctf/bfactor": 0.0,
}
"""Fields without a column in RELION's tables, and the values that a converted file gets."""

_CTF = {
    "ctf/df1_A": "rlnDefocusU",
    "ctf/df2_A": "rlnDefocusV",
    "ctf/df_angle_rad": "rlnDefocusAngle",
    "ctf/phase_shift_rad": "rlnPhaseShift",
}
_OPTICS = {
    "ctf/accel_kv": "rlnVoltage",
    "ctf/cs_mm": "rlnSphericalAberration",
    "ctf/amp_contrast": "rlnAmplitudeContrast",
    "blob/psize_A": "rlnImagePixelSize",
}
_NOT_USED = {
    "ctf/tilt_A": "beam tilt",
    "ctf/trefoil_A": "trefoil",
    "ctf/tetra_A": "tetrafoil",
    "ctf/anisomag": "anisotropic magnification",
}
_KEPT_POSES = ("alignments3D", "alignments2D")  # which RELION's columns hold completely
_GROUP = "ctf/exp_group_id"
_MICROGRAPH = "location/micrograph_path"


def image_columns(fields: Fields, stack_names: Sequence[str], stack_index: IntArray) -> Column:
    """Return image names such as ``000001@stack.mrcs`` (N,).

    Numbers count from 1. A stack whose name does not end in ``.mrcs`` is marked as ``:mrcs``,
    without which RELION takes it for a volume.
    """
    names = [name if name.endswith(".mrcs") else f"{name}:mrcs" for name in stack_names]
    numbers = (fields["blob/idx"].astype(np.int64) + 1).tolist()
    images = [f"{n:06d}@{names[i]}" for n, i in zip(numbers, stack_index.tolist(), strict=True)]
    return np.array(images, dtype=object)


def to_star_tables(
    path: Path, fields: Fields, images: Column, *, ctf: bool, everything: bool
) -> tuple[dict[str, Column], dict[str, Column]]:
    """Return the optics table and the particle table for the fields of a dataset.

    Parameters
    ----------
    path : Path
        For messages.
    fields : mapping of str to (N, ...) array
    images : (N,) object
        Column rlnImageName.
    ctf : bool
        Whether the CTF is needed; if not, its fields may be missing.
    everything : bool
        Carry all fields without a column in RELION's tables; otherwise the uid, and those of the
        images and the CTF that have not their usual value.

    Raises
    ------
    CryosparcError
        If a field is missing, or a value is not a number.
    """
    alignment = read_alignment(path, fields)
    optics, group = _optics_tables(path, fields, ctf=ctf)
    columns: dict[str, Column] = {"rlnImageName": images}
    if _MICROGRAPH in fields:
        columns["rlnMicrographName"] = decode(fields[_MICROGRAPH])
    columns |= _ctf_columns(path, fields, ctf=ctf)
    columns["rlnOpticsGroup"] = group
    if alignment is not None:
        columns |= _pose_columns(alignment)
    own = restore_columns(fields, RELION)
    names = own.pop("rlnImageName", None)
    if everything and names is not None and _same_images(names, fields):
        columns["rlnImageName"] = names
    columns |= own
    columns |= carry_fields(fields, _carried(fields, images, alignment, everything=everything))
    return optics, columns


def _ctf_columns(path: Path, fields: Fields, *, ctf: bool) -> dict[str, Column]:
    if not (ctf or "ctf/df1_A" in fields):
        return {}
    columns: dict[str, Column] = {}
    for name, label in _CTF.items():
        if name == "ctf/phase_shift_rad" and name not in fields:
            continue
        values = read_field(path, fields, name, allow_nan=True)  # excluded before a run
        in_degrees = name.endswith("_rad")
        columns[label] = np.rad2deg(values) if in_degrees else short_decimals(fields[name])
    return columns


def _optics_tables(path: Path, fields: Fields, *, ctf: bool) -> tuple[dict[str, Column], Int64]:
    """Return the optics table, and the number of each particle's group.

    Particles of one exposure group with different optics become several optics groups.
    """
    exposure = fields.get(_GROUP, np.zeros(len(fields[UID]), dtype=np.uint32)).astype(np.int64)
    values: dict[str, Column] = {
        label: short_decimals(read_field(path, fields, name, positive=name == "blob/psize_A"))
        for name, label in _OPTICS.items()
        if ctf or name in fields or not name.startswith("ctf/")
    }
    values["rlnImageSize"] = box_sizes(path, fields)
    own = restore_columns(fields, RELION_OPTICS)
    first, index = distinct_rows([exposure, *values.values(), *own.values()])
    ids = exposure[first]
    keeps_numbers = own and len(np.unique(ids)) == len(ids) and ids.min() >= 1
    numbers = ids if keeps_numbers else np.arange(1, len(first) + 1)
    optics: dict[str, Column] = {
        "rlnOpticsGroup": numbers,
        "rlnOpticsGroupName": default_group_names(numbers),
        **{label: column[first] for label, column in values.items()},
        "rlnImageDimensionality": np.full(len(first), 2),
        **{label: column[first] for label, column in own.items()},
    }
    return optics, numbers[index].astype(np.int64)


def default_group_names(numbers: Column) -> Column:
    """Return the names of optics groups that have none."""
    return np.array([f"exposures{number}" for number in numbers.tolist()], dtype=object)


def box_sizes(path: Path, fields: Fields) -> Int64:
    """Return the pixels per side of each image (N,).

    Raises
    ------
    CryosparcError
        If images are not square, or are volumes.
    """
    shapes = fields.get("blob/shape")
    if shapes is None:
        raise CryosparcError(f"{path}: no field blob/shape; export the particles again")
    if shapes.ndim != 2 or shapes.shape[1] != 2:
        raise CryosparcError(
            f"{path}: blob/shape has {shapes[0].size} numbers for each row; expected the two sides "
            "of an image; volumes cannot be used here"
        )
    odd = np.flatnonzero(shapes[:, 0] != shapes[:, 1])
    if odd.size:
        raise CryosparcError.at_row(
            f"{path}: blob/shape is {' x '.join(map(str, shapes[odd[0]]))} in ",
            int(odd[0]),
            "; expected square images; extract the particles again",
        )
    return shapes[:, 0].astype(np.int64)


def _pose_columns(alignment: Alignment) -> dict[str, Column]:
    angles = dict(
        zip(("rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi"), alignment.angles.T, strict=True)
    )
    if alignment.is_2d:
        angles = {"rlnAnglePsi": angles["rlnAnglePsi"]}
    columns: dict[str, Column] = {
        **angles,
        "rlnOriginXAngst": alignment.origins[:, 0],
        "rlnOriginYAngst": alignment.origins[:, 1],
    }
    columns = {name: _trim(values) for name, values in columns.items()}
    if alignment.class_index is not None:
        columns["rlnClassNumber"] = alignment.class_index + 1
    if alignment.split is not None and len(np.unique(alignment.split)) == 2:
        columns["rlnRandomSubset"] = alignment.split + 1
    return columns


def _trim(values: Float64) -> Float64:
    """Return angles or lengths without digits beyond the precision of float32."""
    return np.round(values, 9) + 0.0


def _same_images(names: Column, fields: Fields) -> bool:
    """Return whether image names of RELION are still those of the images of the dataset."""
    rows = zip(
        names.tolist(),
        fields["blob/idx"].tolist(),
        decode(fields["blob/path"]).tolist(),
        strict=True,
    )
    return all(_is_image(name, index, path) for name, index, path in rows)


def _is_image(name: str, index: int, path: str) -> bool:
    number, _, stack = name.partition("@")
    stack, path = without_format(stack), path.removeprefix(">")
    return int(number) == index + 1 and (stack.endswith(path) or path.endswith(stack))


def _shows_paths(images: Column, paths: AnyArray) -> bool:
    """Return whether image names have the paths of the dataset."""
    rows = zip(images.tolist(), decode(paths).tolist(), strict=True)
    return all(without_format(image.partition("@")[2]) == path for image, path in rows)


def _carried(
    fields: Fields, images: Column, alignment: Alignment | None, *, everything: bool
) -> Iterator[str]:
    """Yield the fields that are carried to the STAR file as they are."""
    yield UID
    for name, usual in NEUTRAL.items():
        if name in fields and (fields[name] != usual).any():
            yield name
    if _GROUP in fields:
        yield _GROUP
    if not everything:
        return
    own = alignment.result if alignment is not None and alignment.result in _KEPT_POSES else ""
    converted = {UID, "blob/idx", "blob/shape", _GROUP, *_CTF, *_OPTICS, *NEUTRAL}
    converted |= {f"{own}/{name}" for name in ("pose", "shift", "class")}
    for name, values in fields.items():
        if name in converted or name.startswith((f"{RELION}/", f"{RELION_OPTICS}/")):
            continue
        if name == f"{own}/split" and len(np.unique(values)) == 2:
            continue
        if name == "blob/path" and _shows_paths(images, values):
            continue
        short = name.removeprefix(f"{own}/")
        if short != name and (values == ALIGNMENT.get(short, (np.nan, None))[0]).all():
            continue
        if name == f"{own}/psize_A" and np.array_equal(values, fields["blob/psize_A"]):
            continue
        yield name


def describe_unused(fields: Fields) -> Iterator[str]:
    """Yield a note for each property of the images that is carried, but not used."""
    for name, words in _NOT_USED.items():
        if name in fields and fields[name].any():
            yield f"{words} ({name}) is not zero; it is kept, but not used"


def dark_particles(fields: Fields) -> AnyArray | None:
    """Return which images (N,) have dark protein, by `blob/sign`; None if it is not there."""
    sign = fields.get("blob/sign")
    return None if sign is None else np.asarray(sign < 0)
