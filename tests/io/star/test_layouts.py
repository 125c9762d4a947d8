"""Layouts of STAR files as other programs and people write them: nothing is lost in silence."""

import numpy as np
import pytest
from mrc_files import OPTICS_LABELS, PARTICLE_LABELS, loop, particle_rows, star_text, write_stack

from napari_ini3d.errors import StarError
from napari_ini3d.geometry import RigidTransform
from napari_ini3d.io.star.particles import read_particles
from napari_ini3d.io.star.poses import rotate_particles

ROWS = particle_rows(6)
OPTICS = loop("optics", OPTICS_LABELS, ["1 opticsGroup1 300.0 2.7 0.1 2.0 16 2"])
VALUES = ["1", "'group one'", "300", "2.7", "0.1", "2", "16", "2"]
PAIRS = "data_optics\n\n" + "".join(
    f"_{label}   {value}\n" for label, value in zip(OPTICS_LABELS, VALUES, strict=True)
)
PARTICLES = loop("particles", PARTICLE_LABELS, ROWS)
BOTH = OPTICS + PARTICLES


def _inside(line, table=PARTICLES):
    """The particle table with a line before its fourth row."""
    return table.replace(ROWS[3], f"{line}\n{ROWS[3]}")


def _first(column, rows=ROWS):
    """The particle table with the micrograph name, which begins as given, in the first column."""
    labels = [PARTICLE_LABELS[1], PARTICLE_LABELS[0], *PARTICLE_LABELS[2:]]
    cells = [row.split() for row in rows]
    lines = [" ".join([f"{column}{i}.mrc", row[0], *row[2:]]) for i, row in enumerate(cells)]
    return loop("particles", labels, lines)


READ = {
    "as RELION writes it": BOTH,
    "optics as a block of single values": PAIRS + "\n\n" + PARTICLES,
    "single quotes": OPTICS + PARTICLES.replace("mic.mrc", "'mic rograph.mrc'"),
    "quotes within quotes": OPTICS + PARTICLES.replace("mic.mrc", "'a \"b\" c.mrc'"),
    "an apostrophe": OPTICS + PARTICLES.replace("mic.mrc", "bob's.mrc"),
    "a quotation mark within a value": OPTICS + PARTICLES.replace("mic.mrc", 'mic"1.mrc'),
    "a blank line": OPTICS + _inside(""),
    "a line of blanks": OPTICS + _inside("  \t "),
    "a comment": OPTICS + _inside("# from here on session 2"),
    "several comments": OPTICS + _inside("#\n\n  # more\n"),
    "a blank line after the labels": OPTICS + PARTICLES.replace(ROWS[0], f"\n{ROWS[0]}"),
    "a comment among the labels": OPTICS + PARTICLES.replace("_rlnDefocusU", "# CTF\n_rlnDefocusU"),
    "values that begin with data_": OPTICS + _first("data_"),
    "values that begin with loop_": OPTICS + _first("loop_"),
    "values that begin with _": OPTICS + _first("_mic"),
    "indented blocks": BOTH.replace("data_", "  data_").replace("loop_", "  loop_"),
    "keywords in capitals": BOTH.replace("data_", "DATA_").replace("loop_", "LOOP_"),
    "a comment after the name of the block": OPTICS
    + PARTICLES.replace("data_particles", "data_particles # selected"),
    "labels with numbers but no #": BOTH.replace(" #", " "),
    "labels without numbers": OPTICS + PARTICLES.replace(" #", " # "),
    "tabs": BOTH.replace(" 1\n", "\t1\t\n"),
    "two tables in one block": OPTICS + PARTICLES.replace("data_particles", ""),
    "no end of line": BOTH.rstrip(),
    "a byte order mark": "\ufeff" + BOTH,
    "Windows line ends and a gap": (OPTICS + _inside("")).replace("\n", "\r\n"),
}


def _write(folder, content):
    write_stack(folder / "stack.mrcs", np.random.default_rng(0).normal(size=(6, 16, 16)))
    path = folder / "particles.star"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize("name", READ)
def test_every_row_is_read(tmp_path, name):
    particles, table = read_particles(_write(tmp_path, READ[name]))
    np.testing.assert_array_equal(particles.defocus_u, 15000 + np.arange(6))
    np.testing.assert_array_equal(particles.image_index, np.arange(6))
    assert particles.optics[0].voltage == 300
    assert len(table.particles["rlnMicrographName"]) == 6


def test_values_in_single_quotes_lose_them_and_keep_their_blanks(tmp_path):
    _, table = read_particles(_write(tmp_path, READ["single quotes"]))
    assert set(table.particles["rlnMicrographName"]) == {"mic rograph.mrc"}


REFUSED = {
    "two files joined": (OPTICS + PARTICLES + BOTH, "2 tables.*rlnImageName"),
    "two particle tables": (OPTICS + PARTICLES + PARTICLES, "2 tables"),
    "optics twice": (OPTICS + BOTH, "data_optics stands 2 times"),
    "words after the table": (OPTICS + PARTICLES + "the end\n", "row 7 has 2 values"),
    "a quotation mark that is not closed": (
        OPTICS
        + PARTICLES.replace("mic.mrc 15001", '"mic.mrc 15001').replace(
            "mic.mrc 15004", '"mic.mrc 15004'
        ),
        "values|quotation mark",
    ),
    "UTF-16": (BOTH.encode("utf-16"), "UTF-16.*iconv"),
    "UTF-16 without a mark": (BOTH.encode("utf-16-be"), "UTF-16"),
    "UTF-32": (BOTH.encode("utf-32"), "UTF-16 or UTF-32"),
    "gzip": (b"\x1f\x8b" + bytes(100), "compressed with gzip"),
    "an MRC file": (np.array([16, 16, 6, 2], "<i4").tobytes() + bytes(1008), "binary"),
    "line ends of old Macs": (BOTH.replace("\n", "\r"), "carriage return"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_read_is_refused_with_its_cause(tmp_path, name):
    content, cause = REFUSED[name]
    with pytest.raises(StarError, match=cause):
        read_particles(_write(tmp_path, content))


def test_poses_are_changed_across_gaps_and_the_gaps_stay(tmp_path):
    labels = [*PARTICLE_LABELS, "rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi"]
    rows = [f"{row} 10.0 20.0 {i}.0" for i, row in enumerate(ROWS)]
    text = star_text(rows, labels=labels).replace(rows[3], f"\n# session 2\n{rows[3]}")
    source = _write(tmp_path, text)
    turned = RigidTransform(np.diag([-1.0, -1.0, 1.0]), np.zeros(3))  # 180 degrees about z
    rotate_particles(source, tmp_path / "turned.star", turned)
    written = (tmp_path / "turned.star").read_text()
    assert "\n# session 2\n" in written
    first = read_particles(tmp_path / "turned.star")[1].particles
    np.testing.assert_allclose(np.abs(first["rlnAngleRot"]), 170)
    np.testing.assert_allclose(first["rlnAnglePsi"], np.arange(6))


def test_a_thousand_empty_loops_are_no_recursion(tmp_path):
    text = OPTICS + "data_other\n" + "loop_\n" * 5000 + PARTICLES
    assert len(read_particles(_write(tmp_path, text))[0]) == 6
