"""Particle files of other programs that are not read: their names, and the ways to convert them."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from napari_ini3d.errors import InputError

_EMAN2 = (
    "convert it in EMAN2: e2refinetorelion2d.py writes the images and a STAR file with their CTF; "
    "e2proc2d.py {name} {stem}.mrcs writes the images only"
)
_CISTEM = (
    "export it in cisTEM: Assets, Refinement Packages, Export, as a RELION package; a .star file "
    "of cisTEM that names its stack (cisTEMStackFilename) is read as it is"
)
_SCIPION = "export it in Scipion with the protocol `relion - export particles`"


@dataclass(frozen=True, slots=True)
class _Format:
    what: str
    advice: str
    endings: tuple[str, ...]
    beginnings: tuple[bytes, ...] = ()


_FORMATS = (
    _Format("a list of images of EMAN2", _EMAN2, (".lst", ".lsx"), (b"#LST", b"#LSX")),
    _Format("an HDF5 file, as EMAN2 writes", _EMAN2, (".hdf", ".h5"), (b"\x89HDF",)),
    _Format("a parameter file of cisTEM or Frealign", _CISTEM, (".par", ".cistem")),
    _Format("a database of a project of cisTEM", _CISTEM, (".db",)),
    _Format("a database of Scipion", _SCIPION, (".sqlite",)),
    _Format(
        "an SQLite database, as cisTEM and Scipion write",
        f"if it is of cisTEM, {_CISTEM}; if it is of Scipion, {_SCIPION}",
        (),
        (b"SQLite format",),
    ),
    _Format("a metadata file of Xmipp", _SCIPION, (".xmd",)),
    _Format(
        "a result group of cryoSPARC, which only lists files",
        "give the .cs file beside it",
        (".csg",),
    ),
    _Format(
        "an image stack",
        "give the STAR file of its particles, or --from-class-averages if these are 2D class "
        "averages",
        (".mrcs", ".mrc", ".st"),
    ),
)


def refuse_other_format(path: Path) -> None:
    """Raise `InputError` for a particle file of a program whose format is not read.

    Formats are told by the ending of the name or the first bytes. A file that cannot be read is
    left to the reader that reports it.

    Raises
    ------
    InputError
        With the name of the format, and how to convert it.
    """
    beginning = b""
    with suppress(OSError), open(path, "rb") as file:
        beginning = file.read(16)
    for found in _FORMATS:
        if path.suffix.lower() in found.endings or beginning.startswith(found.beginnings):
            raise InputError(
                f"{path}: {found.what}; expected a STAR file of RELION or a .cs file of cryoSPARC; "
                + found.advice.format(name=path.name, stem=path.stem)
            )
