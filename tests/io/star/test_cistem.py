"""Particles of cisTEM: its columns, and the signs and units of its numbers."""

import logging

import numpy as np
import pytest
from mrc_files import write_stack

from napari_ini3d.errors import StarError
from napari_ini3d.io import has_particles, read_particles, read_poses

IMAGES = np.random.default_rng(0).normal(size=(5, 16, 16))
LABELS = [
    "PositionInStack", "AnglePsi", "AngleTheta", "AnglePhi", "XShift", "YShift", "Defocus1",
    "Defocus2", "DefocusAngle", "PhaseShift", "ImageActivity", "PixelSize", "MicroscopeVoltagekV",
    "MicroscopeCsMM", "AmplitudeContrast", "Best2DClass", "StackFilename",
]  # fmt: skip
HEADER = "# Written by cisTEM Version 2.0.0-alpha on 2023-01-01 10:00:00\n \ndata_\n \nloop_\n"


@pytest.fixture
def rows():
    return [
        f"{i + 1} {10 + i} 20 30 1.5 -2.5 {15000 + i} 14000 40 1.5708 {1 - 2 * (i == 3)} 2.0 "
        f"{300 if i < 3 else 200} 2.7 0.07 {i} 'Assets/ParticleStacks/stack_1.mrc'"
        for i in range(5)
    ]


def write(folder, rows, labels=LABELS):
    write_stack(folder / "Assets/ParticleStacks/stack_1.mrc", IMAGES)
    path = folder / "refine.star"
    header = HEADER + "".join(f"_cisTEM{name} #{i}\n" for i, name in enumerate(labels, 1))
    comment = "#     POS     PSI   THETA     PHI\n"
    path.write_text(header + comment + "\n".join(rows) + "\n")
    return path


def test_particles_have_the_images_ctf_and_origins_of_their_columns(tmp_path, rows, caplog):
    with caplog.at_level(logging.WARNING):
        particles, table = read_particles(write(tmp_path, rows))
    assert "1 of 5 particles are switched off" in caplog.text
    assert particles.stack_paths == (tmp_path / "Assets/ParticleStacks/stack_1.mrc",)
    np.testing.assert_array_equal(particles.image_index, [0, 1, 2, 4])
    np.testing.assert_array_equal(particles.defocus_u, [15000, 15001, 15002, 15004])
    np.testing.assert_allclose(particles.phase_shift, 90, atol=1e-3)  # rad in the file
    np.testing.assert_array_equal(particles.origin_x, np.full(4, -1.5))
    np.testing.assert_array_equal(particles.origin_y, np.full(4, 2.5))
    voltages = [particles.optics[i].voltage for i in particles.optics_index]
    assert voltages == [300, 300, 300, 200]
    assert {(g.pixel_size, g.box_size) for g in particles.optics} == {(2.0, 16)}
    np.testing.assert_array_equal(table.particles["cisTEMXShift"], np.full(4, 1.5))
    np.testing.assert_array_equal(table.particles["rlnClassNumber"], [0, 1, 2, 4])


def test_angles_psi_theta_phi_are_psi_tilt_rot(tmp_path, rows):
    path = write(tmp_path, [row.replace(" 0 'A", " 1 'A") for row in rows])
    assert has_particles(path)
    np.testing.assert_array_equal(read_poses(path).angles[0], [30, 20, 10])


@pytest.mark.parametrize(
    ("without", "reason"),
    [("StackFilename", "expected the name of their stack.*RELION"), ("PixelSize", "Å per pixel")],
)
def test_a_table_that_lacks_what_is_needed_is_refused(tmp_path, rows, without, reason):
    labels = [f"{name}Other" if name == without else name for name in LABELS]
    with pytest.raises(StarError, match=reason):
        read_particles(write(tmp_path, rows, labels))


def test_rows_are_those_of_the_file_where_particles_are_switched_off(tmp_path, rows):
    particles, _ = read_particles(write(tmp_path, rows))
    np.testing.assert_array_equal(particles.file_rows(np.arange(4)), [1, 2, 3, 5])
    rows[4] = rows[4].replace(" 14000 ", " much ")
    with pytest.raises(StarError, match="row 5 "):
        read_particles(write(tmp_path, rows))
