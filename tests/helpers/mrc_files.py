"""MRC and STAR files built byte by byte, independent of the readers and writers."""

from __future__ import annotations

from pathlib import Path

import numpy as np

_MODES = {"i1": 0, "i2": 1, "f4": 2, "u2": 6, "f2": 12}


def mrc_bytes(images, dtype="f4", order="<", extended=0, mode=None):
    """Return an MRC2014 stack: header words at their documented offsets, then the samples."""
    images = np.asarray(images)
    nz, ny, nx = images.shape
    header = bytearray(1024)
    words = np.array([nx, ny, nz, _MODES[dtype] if mode is None else mode], f"{order}i4")
    header[0:16] = words.tobytes()
    header[28:40] = np.array([nx, ny, nz], f"{order}i4").tobytes()
    header[92:96] = np.array([extended], f"{order}i4").tobytes()
    header[208:212] = b"MAP "
    header[212:216] = b"\x44\x44\x00\x00" if order == "<" else b"\x11\x11\x00\x00"
    return bytes(header) + b"\x07" * extended + images.astype(f"{order}{dtype}").tobytes()


def write_stack(path: Path, images, **options) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(mrc_bytes(images, **options))
    return path


OPTICS_LABELS = [
    "rlnOpticsGroup",
    "rlnOpticsGroupName",
    "rlnVoltage",
    "rlnSphericalAberration",
    "rlnAmplitudeContrast",
    "rlnImagePixelSize",
    "rlnImageSize",
    "rlnImageDimensionality",
]
OPTICS_ROW = "1 opticsGroup1 300.0 2.7 0.1 2.0 16 2"
PARTICLE_LABELS = [
    "rlnImageName",
    "rlnMicrographName",
    "rlnDefocusU",
    "rlnDefocusV",
    "rlnDefocusAngle",
    "rlnOpticsGroup",
]


def loop(name, labels, rows):
    header = "".join(f"_{label} #{i}\n" for i, label in enumerate(labels, 1))
    return f"data_{name}\n\nloop_\n{header}" + "".join(f"{row}\n" for row in rows) + "\n"


def star_text(rows, labels=PARTICLE_LABELS, optics=(OPTICS_ROW,), optics_labels=OPTICS_LABELS):
    return (
        "\n# version 30001\n\n"
        + loop("optics", optics_labels, optics)
        + ("\n# version 30001\n\n" + loop("particles", labels, rows))
    )


def particle_rows(n, stack="stack.mrcs", group=1):
    return [f"{i + 1:06d}@{stack} mic.mrc {15000 + i} {14000 + i} 30.5 {group}" for i in range(n)]


def write_particles(folder: Path, images, *, name="particles.star", **changes) -> Path:
    """Write a stack and its STAR file in the layout of RELION 3.1."""
    write_stack(folder / "stack.mrcs", images)
    path = folder / name
    path.write_text(star_text(particle_rows(len(images)), **changes))
    return path
