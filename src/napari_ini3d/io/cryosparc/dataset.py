"""cryoSPARC datasets (`.cs`): reading, joining by uid, and writing.

A dataset is a NumPy file of one structured array: a field `uid`, and fields such as `blob/path`
whose part before the slash is the result they belong to. Nothing in a file is executed: pickled
objects are refused.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import BinaryIO
from zipfile import BadZipFile

import numpy as np

from napari_ini3d._types import AnyArray, Float64, Int64
from napari_ini3d.errors import CryosparcError
from napari_ini3d.io.array_header import declared_bytes
from napari_ini3d.io.files import atomic_path, read_failure

logger = logging.getLogger(__name__)

Fields = Mapping[str, AnyArray]
"""Name of a field -> (N, ...) array: integers, floats, or bytes (strings)."""

UID = "uid"

_OF_NUMBERS = {UID, "blob", "ctf", "alignments2D", "alignments3D"}
_TEXTS = {"path", "type"}
_NUMPY = b"\x93NUMPY"
_ARCHIVE = b"PK"
_COLUMN_STREAM = b"\x95CSDAT"
_MAX_HEADER = 2**20
_PASSTHROUGH = "*passthrough*.cs"


def read_dataset(path: Path) -> dict[str, AnyArray]:
    """Read the fields of a dataset.

    Raises
    ------
    CryosparcError
        If the file cannot be read, is a column stream, holds pickled objects, or has no rows.
    """
    try:
        with path.open("rb") as file:
            if file.read(len(_COLUMN_STREAM)) == _COLUMN_STREAM:
                raise _column_stream_error(path)
            file.seek(0)
            _check_length(file)
            array = np.load(file, allow_pickle=False, max_header_size=_MAX_HEADER)
            fields = _split_fields(path, array)
    except OSError as error:
        raise CryosparcError(read_failure(path, error, "check the name")) from error
    except (ValueError, EOFError, SyntaxError, BadZipFile) as error:
        raise CryosparcError(
            f"{path}: cannot be read ({_first_line(error)}); expected a dataset of cryoSPARC, "
            "which is a NumPy file of one structured array without pickled objects; export the "
            "particles again"
        ) from error
    if not len(array):
        raise CryosparcError(
            f"{path}: the dataset is empty (0 rows, {len(fields)} fields); expected at least one "
            "particle; choose the output of a job that kept particles"
        )
    return fields


def _check_length(file: BinaryIO) -> None:
    """Raise `ValueError` if an array is longer than its file, or it is none.

    Archives are refused later, by their name.
    """
    beginning = file.read(len(_NUMPY))
    is_array = beginning == _NUMPY
    if beginning and not is_array and not beginning.startswith(_ARCHIVE):
        raise ValueError("not a NumPy file")
    file.seek(0)
    if is_array:
        declared = declared_bytes(file, max_header=_MAX_HEADER)
        size = file.seek(0, os.SEEK_END)
        file.seek(0)
        if declared > size:
            raise ValueError(f"truncated: {size} bytes, of {declared} that its header declares")


def _split_fields(path: Path, array: object) -> dict[str, AnyArray]:
    if not isinstance(array, np.ndarray) or array.dtype.names is None or array.ndim != 1:
        found = f"an array of {array.dtype}" if isinstance(array, np.ndarray) else "an archive"
        raise CryosparcError(
            f"{path}: {found}; expected a dataset of cryoSPARC, which is a structured array with a "
            "field uid; give the .cs file of a job's particles"
        )
    fields = {name: _as_bytes(np.ascontiguousarray(array[name])) for name in array.dtype.names}
    if UID not in fields:
        raise CryosparcError(
            f"{path}: no field uid (found: {describe_results(fields)}); expected a dataset of "
            "particles; give the .cs file of a job's particles"
        )
    for name, column in fields.items():
        result, _, rest = name.partition("/")
        if result in _OF_NUMBERS and rest not in _TEXTS and column.dtype.kind not in "biuf":
            raise CryosparcError(
                f"{path}: {name} has the type {column.dtype}; expected numbers; export the "
                "particles again"
            )
    return fields


def _as_bytes(column: AnyArray) -> AnyArray:
    return (
        np.char.encode(column, "utf-8", "surrogateescape") if column.dtype.kind == "U" else column
    )


def _column_stream_error(path: Path) -> CryosparcError:
    return CryosparcError(
        f"{path}: a column stream (CSDAT), the newer format of cryoSPARC; expected a NumPy file; "
        "save it again with cryosparc-tools: `from cryosparc.dataset import Dataset, NUMPY_FORMAT; "
        f'Dataset.load("{path.name}").save("{path.stem}_numpy.cs", format=NUMPY_FORMAT)`'
    )


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0].partition(" See ")[0] or type(error).__name__


def describe_results(fields: Fields) -> str:
    """Return the names of the results in a dataset, such as "blob, ctf"."""
    names = dict.fromkeys(name.partition("/")[0] for name in fields if name != UID)
    return ", ".join(names) or "nothing else"


def has_result(fields: Fields, result: str) -> bool:
    """Return whether a dataset has fields of a result, such as "ctf"."""
    return any(name.startswith(f"{result}/") for name in fields)


def join_passthrough(
    path: Path, fields: Fields, passthrough: Mapping[Path, Fields]
) -> dict[str, AnyArray]:
    """Add the fields of passthrough files, joined by uid; fields that are there stay.

    Parameters
    ----------
    path : Path
        File of the particles, for messages.
    fields : mapping of str to (N, ...) array
    passthrough : mapping of Path to fields
        Datasets with a row for every particle, in any order.

    Raises
    ------
    CryosparcError
        If a dataset lists a uid twice, or lacks one of the particles.
    """
    joined = dict(fields)
    for other, more in passthrough.items():
        row = find_rows(other, more, fields[UID])
        if (row < 0).any():
            raise CryosparcError(
                f"{other}: no row for {np.count_nonzero(row < 0)} of the {len(row)} particles of "
                f"{path} (such as uid {fields[UID][row < 0][0]}); expected the passthrough file of "
                "the same job; check the name"
            )
        added = [name for name in more if name not in joined]
        joined |= {name: more[name][row] for name in added}
        logger.info(
            "%s: %d fields joined by uid (%s)",
            other,
            len(added),
            describe_results(dict.fromkeys(added, row)),
        )
    return joined


def find_rows(path: Path, fields: Fields, uids: AnyArray) -> Int64:
    """Return the row (N,) of each uid in a dataset; -1 where there is none.

    Raises
    ------
    CryosparcError
        If the dataset has a uid twice.
    """
    order = np.argsort(fields[UID], kind="stable")
    known = fields[UID][order]
    if (known[1:] == known[:-1]).any():
        twice = known[1:][known[1:] == known[:-1]][0]
        raise CryosparcError(
            f"{path}: uid {twice} is there more than once; expected one row for each particle; "
            "remove duplicates in cryoSPARC"
        )
    place = np.minimum(np.searchsorted(known, uids), len(known) - 1)
    return np.where(known[place] == uids, order[place], -1).astype(np.int64)


def find_passthrough(
    path: Path, fields: Fields, wanted: Sequence[str]
) -> dict[Path, dict[str, AnyArray]]:
    """Return the passthrough files beside a dataset that have all of its particles, as read.

    Parameters
    ----------
    path : Path
        File of the particles.
    fields : mapping
        Its fields.
    wanted : sequence of str
        Fields that are looked for; a file with none of them is not returned.
    """
    found: dict[Path, dict[str, AnyArray]] = {}
    missing = set(wanted)
    for other in sorted(path.absolute().parent.glob(_PASSTHROUGH)):
        if other == path.absolute() or not missing:
            continue
        try:
            more = read_dataset(other)
            complete = bool((find_rows(other, more, fields[UID]) >= 0).all())
        except CryosparcError as error:
            logger.info("not used as passthrough file: %s", error)
            continue
        if complete and missing & more.keys():
            found[other] = more
            missing -= more.keys()
    return found


def read_field(
    path: Path, fields: Fields, name: str, *, positive: bool = False, allow_nan: bool = False
) -> Float64:
    """Return a field as float64 of its own shape, finite unless `allow_nan`.

    Raises
    ------
    CryosparcError
        If the field is missing, or a value is not finite and `allow_nan` is not given (or, with
        `positive`, not above 0).
    """
    if name not in fields:
        raise CryosparcError(
            f"{path}: no field {name} (found: {describe_results(fields)}); give the passthrough "
            "file of the job (--passthrough), or export the particles again"
        )
    values = fields[name].astype(np.float64)
    wrong = (~np.isfinite(values) & (not allow_nan)) | (positive & (values <= 0))
    bad = np.flatnonzero(wrong.reshape(len(wrong), -1).any(axis=1))
    if bad.size:
        expected = "a number above 0" if positive else "a number"
        raise CryosparcError.at_row(
            f"{path}: {name} is {values[bad[0]]} in ",
            int(bad[0]),
            f" ({bad.size} such rows); expected {expected}; remove these particles in cryoSPARC",
        )
    return values


def write_dataset(path: Path | str, fields: Fields) -> None:
    """Write a dataset as a NumPy file, completely or not at all.

    Raises
    ------
    RunFolderError
        If the file cannot be written.
    """
    kinds = [(name, column.dtype, column.shape[1:]) for name, column in fields.items()]
    table = np.empty(len(fields[UID]), dtype=kinds)
    for name, column in fields.items():
        table[name] = column
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        np.save(file, table, allow_pickle=False)
