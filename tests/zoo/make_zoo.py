"""Write the files of this folder: `python tests/zoo/make_zoo.py`. README.md has their verdicts."""

from __future__ import annotations

import gzip
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt

HERE = Path(__file__).parent
N, BOX = 12, 16
OPTICS = {
    "rlnOpticsGroup": "1",
    "rlnOpticsGroupName": "opticsGroup1",
    "rlnVoltage": "300.0",
    "rlnSphericalAberration": "2.7",
    "rlnAmplitudeContrast": "0.1",
    "rlnImagePixelSize": "2.0",
    "rlnImageSize": str(BOX),
    "rlnImageDimensionality": "2",
}
LABELS = [
    "rlnImageName",
    "rlnMicrographName",
    "rlnDefocusU",
    "rlnDefocusV",
    "rlnDefocusAngle",
    "rlnOpticsGroup",
]


def rows(scale: float = 1.0, stack: str = "stack.mrcs") -> list[list[str]]:
    """Return the particles as cells, with the defoci multiplied."""
    return [
        [
            f"{i + 1:06d}@{stack}",
            f"mic{i // 4}.mrc",
            f"{(15000 + 100 * i) * scale:.6g}",
            f"{(14500 + 100 * i) * scale:.6g}",
            "30.5",
            "1",
        ]
        for i in range(N)
    ]


def loop(name: str, labels: list[str], table: list[list[str]]) -> str:
    """Return a table of a STAR file."""
    head = "".join(f"_{label} #{i}\n" for i, label in enumerate(labels, 1))
    return f"data_{name}\n\nloop_\n{head}" + "".join(" ".join(row) + "\n" for row in table) + "\n"


def optics(**changes: str) -> str:
    """Return the optics table, with values changed or added."""
    values = OPTICS | changes
    return loop("optics", list(values), [list(values.values())])


def star(table: list[list[str]] | None = None, **changes: str) -> str:
    """Return a particle STAR file."""
    return "\n" + optics(**changes) + loop("particles", LABELS, table or rows())


def with_line(line: str) -> str:
    """Return a STAR file with a line within the table of particles."""
    return star().replace("000007@", f"{line}\n000007@")


def header(shape: tuple[int, int, int], mode: int, voxel: float = 2.0) -> bytearray:
    """Return the header of an MRC file of (sections, rows, columns)."""
    raw = bytearray(1024)
    sides = list(reversed(shape))
    put(raw, 0, "<i4", *sides, mode)
    put(raw, 28, "<i4", *sides)
    put(raw, 40, "<f4", *(side * voxel for side in sides), 90, 90, 90)
    put(raw, 64, "<i4", 1, 2, 3)
    raw[208:212], raw[212:216] = b"MAP ", b"\x44\x44\0\0"
    return raw


def put(raw: bytearray, place: int, kind: str, *values: float) -> None:
    """Write numbers into a header."""
    data = np.array(values, kind).tobytes()
    raw[place : place + len(data)] = data


def stack(*, unsigned: bool = False) -> bytes:
    """Return a stack of bytes: a disc in noise."""
    y, x = np.mgrid[:BOX, :BOX] - BOX // 2
    noise = np.random.default_rng(1).normal(0, 12, (N, BOX, BOX))
    images = np.clip(noise + 30 * (x**2 + y**2 < 16), -128, 127).round() + 128 * unsigned
    raw = header(images.shape, 0)
    put(raw, 76, "<f4", images.min(), images.max(), images.mean())
    samples: bytes = images.astype(np.uint8 if unsigned else np.int8).tobytes()
    return bytes(raw) + samples


def particle(shape: tuple[int, int, int] = (BOX, BOX, BOX)) -> npt.NDArray[np.float32]:
    """Return the density of a particle without symmetry, (z, y, x)."""
    z, y, x = np.meshgrid(*(np.arange(n) - n // 2 for n in shape), indexing="ij")
    main = np.exp(-(x**2 + y**2 + z**2) / 8)
    return (main + np.exp(-((x - 3) ** 2 + (y - 2) ** 2 + (z + 1) ** 2) / 3)).astype("<f4")


def volume(
    data: npt.NDArray[np.float32] | None = None,
    edit: Callable[[bytearray], None] = lambda raw: None,
) -> bytes:
    """Return a map, with its header edited."""
    data = particle() if data is None else data
    raw = header(data.shape, 2)
    edit(raw)
    return bytes(raw) + np.ascontiguousarray(data, "<f4").tobytes()


def star_files() -> dict[str, str | bytes]:
    """Return the STAR files by name."""
    table, swapped = rows(), [LABELS[1], LABELS[0], *LABELS[2:]]
    pairs = "".join(f"_{label} {value}\n" for label, value in OPTICS.items())
    particles = loop("particles", LABELS, table)
    data_rows = [["data_" + row[1], row[0], *row[2:]] for row in table]
    over = [
        row[:2] + (["-120", "-180", *row[4:]] if i == 5 else row[2:]) for i, row in enumerate(table)
    ]
    helical = [[*row, "1"] for row in table]
    return {
        "plain.star": star(),
        "optics_as_pairs.star": f"\ndata_optics\n\n{pairs}\n" + particles,
        "single_quotes.star": star([[f"'{row[0]}'", f"'{row[1]}'", *row[2:]] for row in table]),
        "greater_than.star": star(rows(stack=">stack.mrcs")),
        "mrc_for_mrcs.star": star(rows(stack="stack.mrc")),
        "blank_line.star": with_line(""),
        "comment_line.star": with_line("# from here on session 2"),
        "joined.star": star() + star(),
        "rows_begin_with_data.star": "\n" + optics() + loop("particles", swapped, data_rows),
        "byte_order_mark.star": b"\xef\xbb\xbf" + star().lstrip().replace("\n", "\r\n").encode(),
        "utf16.star": star().encode("utf-16-le"),
        "packed.star": gzip.compress(star().encode(), mtime=0),
        "names_only.star": loop("", LABELS[:1], [row[:1] for row in table]),
        "helical.star": "\n" + optics() + loop("particles", [*LABELS, "rlnHelicalTubeID"], helical),
        "defocus_um.star": star(rows(1e-4)),
        "defocus_nm.star": star(rows(0.1)),
        "pixel_nm.star": star(rlnImagePixelSize="0.2"),
        "voltage_v.star": star(rlnVoltage="300000"),
        "aberration_m.star": star(rlnSphericalAberration="0.0027"),
        "aberration_nm.star": star(rlnSphericalAberration="2700000"),
        "contrast_percent.star": star(rlnAmplitudeContrast="10"),
        "phase_flipped.star": star(rlnCtfDataArePhaseFlipped="1"),
        "one_overfocused.star": star(over),
        "overfocused.star": star(rows(-1)),
        "missing_stack.star": star(rows(stack="gone.mrcs")),
        "large_number.star": star().replace("000001@", "2147483648@"),
        "unsigned_bytes.star": star(rows(stack="unsigned.mrcs")),
        "truncated.star": star(rows(stack="truncated.mrcs")),
        "wrong_mode.star": star(rows(stack="wrong_mode.mrcs")),
        "longer.star": star(rows(stack="longer.mrcs")),
    }


def map_files() -> dict[str, bytes]:
    """Return the maps by name."""
    turned = np.ascontiguousarray(particle().transpose(2, 1, 0))
    return {
        "plain.mrc": volume(),
        "axes_zyx.mrc": volume(turned, lambda raw: put(raw, 64, "<i4", 3, 2, 1)),
        "no_voxel_size.mrc": volume(edit=lambda raw: put(raw, 40, "<f4", 0, 0, 0)),
        "no_stamp.mrc": volume(edit=lambda raw: raw.__setitem__(slice(208, 216), bytes(8))),
        "odd_stamp.mrc": volume(edit=lambda raw: raw.__setitem__(slice(212, 216), b"\x44   ")),
        "huge_extended_header.mrc": volume(edit=lambda raw: put(raw, 92, "<i4", 2**31 - 1)),
        "odd_box.mrc": volume(particle((17, 17, 17))),
        "not_cubic.mrc": volume(particle((16, 20, 18))),
        "inverted.mrc": volume(-particle()),
        "constant_added.mrc": volume(particle() * 50 + 100),
        "wrong_mode.mrc": volume(edit=lambda raw: put(raw, 12, "<i4", 1)),
        "empty.mrc": volume(np.zeros((BOX,) * 3, np.float32)),
        "packed.map.gz": gzip.compress(volume(), mtime=0),
    }


def write_zoo(folder: Path) -> None:
    """Write all files into a folder."""
    (folder / "stack.mrcs").write_bytes(stack())
    (folder / "unsigned.mrcs").write_bytes(stack(unsigned=True))
    (folder / "truncated.mrcs").write_bytes(stack()[:-100])
    wrong_mode = bytearray(stack())
    put(wrong_mode, 12, "<i4", 1)
    (folder / "wrong_mode.mrcs").write_bytes(wrong_mode)
    (folder / "longer.mrcs").write_bytes(stack() + bytes(80))
    for name, content in (star_files() | map_files()).items():
        (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)


if __name__ == "__main__":
    write_zoo(Path(sys.argv[1]) if len(sys.argv) > 1 else HERE)
