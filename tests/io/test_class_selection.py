"""Particles of chosen classes of a 2D classification, in a STAR file and a dataset."""

import numpy as np
import pytest
from cryosparc_files import BLOB, CTF, alignment_fields, make_dataset, save
from mrc_files import PARTICLE_LABELS, particle_rows, star_text, write_stack

from napari_ini3d.errors import CryosparcError, SettingsError, StarError
from napari_ini3d.io import ParticleFiles, read_particles
from napari_ini3d.preflight import check_particles
from napari_ini3d.settings import InitialModelSettings

CLASSES = [4, 1, 7, 4, 2, 1]
IMAGES = np.random.default_rng(0).normal(size=(6, 16, 16))


@pytest.fixture
def star(tmp_path):
    rows = [f"{row} {k}" for row, k in zip(particle_rows(6), CLASSES, strict=True)]
    write_stack(tmp_path / "stack.mrcs", IMAGES)
    path = tmp_path / "run_it025_data.star"
    path.write_text(star_text(rows, labels=[*PARTICLE_LABELS, "rlnClassNumber"]))
    return path


@pytest.mark.parametrize(("wanted", "rows"), [((1, 4), [0, 1, 3, 5]), ((7,), [2])])
def test_only_particles_of_the_chosen_classes_are_read(star, wanted, rows):
    particles, table = read_particles(ParticleFiles(star, classes_2d=wanted))
    np.testing.assert_array_equal(particles.image_index, rows)
    np.testing.assert_array_equal(particles.row, np.arange(len(rows)))
    np.testing.assert_array_equal(table.particles["rlnClassNumber"], np.array(CLASSES)[rows])
    np.testing.assert_array_equal(particles.defocus_u, 15000.0 + np.array(rows))


def test_stacks_of_other_classes_need_not_exist(star):
    star.write_text(star.read_text().replace("3@stack.mrcs", "3@moved.mrcs"))
    assert len(read_particles(ParticleFiles(star, classes_2d=(1, 4)))[0]) == 4


def test_a_class_without_particles_is_refused_with_those_that_have_some(star):
    expected = r"class 3, 9; .* 1 \(2 particles\), 4 \(2 particles\), 2 \(1 particles\)"
    with pytest.raises(StarError, match=expected):
        read_particles(ParticleFiles(star, classes_2d=(1, 3, 9)))


def test_a_file_without_classes_is_refused(star):
    star.write_text(star.read_text().replace("_rlnClassNumber", "_rlnGroupNumber"))
    with pytest.raises(StarError, match="no rlnClassNumber"):
        read_particles(ParticleFiles(star, classes_2d=(1,)))


def test_classes_of_cryosparc_have_its_numbers_from_zero(tmp_path):
    table = make_dataset(fields=[*BLOB, *CTF, *alignment_fields("alignments2D")])
    table["alignments2D/class"] = [0, 3, 0, 1, 3, 2]
    for name in set(table["blob/path"].tolist()):
        write_stack(tmp_path / name.decode().lstrip(">"), np.zeros((6, 32, 32)))
    path = save(tmp_path / "J5" / "particles.cs", table)
    particles, found = read_particles(ParticleFiles(path, project=tmp_path, classes_2d=(0, 2)))
    np.testing.assert_array_equal(found.particles["cs/uid"], table["uid"][[0, 2, 5]])
    np.testing.assert_array_equal(particles.defocus_u, table["ctf/df1_A"][[0, 2, 5]])
    with pytest.raises(CryosparcError, match="no particles in class 4"):
        read_particles(ParticleFiles(path, project=tmp_path, classes_2d=(0, 4)))


def test_class_averages_have_no_classes(tmp_path):
    files = ParticleFiles(tmp_path / "classes.mrcs", classes_2d=(1,), class_averages=True)
    with pytest.raises(SettingsError, match="expected one of them"):
        read_particles(files)


def test_classes_of_cryosparc_are_found_in_the_passthrough_file_beside_it(tmp_path):
    table = make_dataset(fields=[*BLOB, *CTF, *alignment_fields("alignments2D")])
    table["alignments2D/class"] = np.array(CLASSES) - 1
    for name in set(table["blob/path"].tolist()):
        write_stack(tmp_path / name.decode().lstrip(">"), np.zeros((6, 32, 32)))
    names = [n for n in table.dtype.names if not n.startswith("alignments2D")]
    path = save(tmp_path / "J9/J9_particles.cs", table[names])
    rest = ["uid", *(n for n in table.dtype.names if n.startswith("alignments2D"))]
    save(path.with_name("J9_passthrough_particles.cs"), table[rest])
    files = ParticleFiles(path, project=tmp_path, classes_2d=(0, 3))
    _, found = read_particles(files)
    np.testing.assert_array_equal(found.particles["cs/uid"], table["uid"][[0, 1, 3, 5]])


def test_errors_in_the_chosen_particles_name_the_row_of_the_file(star):
    text = star.read_text()
    star.write_text(text.replace("4@stack.mrcs", "x@stack.mrcs"))
    with pytest.raises(StarError, match=r"row 4 has the image name '0*x@stack\.mrcs'"):
        read_particles(ParticleFiles(star, classes_2d=(4,)))
    star.write_text(text.replace(" 15002 ", " -15002 "))
    with pytest.raises(StarError, match=r"rlnDefocusU is -15002 in row 3 \(1 of 1 rows"):
        read_particles(ParticleFiles(star, classes_2d=(7,)))


def test_findings_name_rows_of_the_file(star):
    images = IMAGES.copy()
    images[3] = 0
    write_stack(star.parent / "stack.mrcs", images)
    report = check_particles(
        ParticleFiles(star, classes_2d=(4,)), InitialModelSettings(max_excluded=0.9)
    )
    (found,) = (found for found in report.findings if found.code == "bad-images")
    assert found.rows == (4,)
    assert [image.index for image in report.bad_images] == [3]


def test_errors_of_chosen_particles_of_cryosparc_name_the_row_of_the_file(tmp_path):
    table = make_dataset(fields=[*BLOB, *CTF, *alignment_fields("alignments2D")])
    table["alignments2D/class"] = [0, 3, 0, 1, 3, 2]
    table["ctf/accel_kv"][4] = np.nan
    for name in set(table["blob/path"].tolist()):
        write_stack(tmp_path / name.decode().lstrip(">"), np.zeros((6, 32, 32)))
    path = save(tmp_path / "J5" / "particles.cs", table)
    with pytest.raises(CryosparcError, match=r"ctf/accel_kv is nan in row 5 "):
        read_particles(ParticleFiles(path, project=tmp_path, classes_2d=(3,)))
