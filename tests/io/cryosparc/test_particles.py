"""Particles of cryoSPARC: fields, stacks, contrast, and what is refused."""

import numpy as np
import pytest
from cryosparc_files import (
    BLOB,
    CTF,
    LOCATION,
    alignment_fields,
    make_dataset,
    save,
    write_stacks,
)
from scipy.spatial.transform import Rotation

from napari_ini3d.errors import CryosparcError, SettingsError, StackError
from napari_ini3d.geometry import euler_to_matrix
from napari_ini3d.io import ParticleFiles, StackReader, read_particles
from napari_ini3d.preflight import check_particles
from napari_ini3d.settings import InitialModelSettings


@pytest.fixture
def table():
    return make_dataset()


@pytest.fixture
def job(tmp_path, table):
    """A job in a project folder, and the images of its particles."""
    images = write_stacks(tmp_path / "project", table)
    return save(tmp_path / "project" / "J9" / "particles.cs", table), images


def test_images_are_found_above_the_job_and_counted_from_zero(job):
    path, images = job
    particles, _ = read_particles(path)
    np.testing.assert_allclose(StackReader(particles).read(np.arange(6)).images, images)
    assert [stack.name for stack in particles.stack_paths] == ["a_particles.mrc", "b.mrcs"]


def test_the_project_folder_can_be_given(job, tmp_path, table):
    elsewhere = save(tmp_path / "elsewhere" / "particles.cs", table)
    with pytest.raises(StackError, match=r"2 of 2 stacks not found: J7/extract.*--project"):
        read_particles(elsewhere)
    particles, _ = read_particles(ParticleFiles(elsewhere, project=tmp_path / "project"))
    assert len(particles) == 6


def test_the_ctf_is_converted_to_relions_units(job, table):
    particles, columns = read_particles(job[0])
    np.testing.assert_array_equal(particles.defocus_u, table["ctf/df1_A"])
    np.testing.assert_array_equal(particles.defocus_v, table["ctf/df2_A"])
    np.testing.assert_allclose(
        particles.defocus_angle, np.rad2deg(table["ctf/df_angle_rad"]), rtol=1e-6
    )
    np.testing.assert_allclose(
        particles.phase_shift, np.rad2deg(table["ctf/phase_shift_rad"]), rtol=1e-6
    )
    assert columns.particles["rlnImageName"][0].startswith("000001@/")


def test_exposure_groups_become_optics_groups(job):
    particles, _ = read_particles(job[0])
    assert [group.voltage for group in particles.optics] == [300, 200]
    assert [group.number for group in particles.optics] == [1, 2]
    assert particles.optics[0].pixel_size == 1.345
    assert particles.optics[0].box_size == 32
    np.testing.assert_array_equal(particles.optics_index, [0, 0, 0, 1, 1, 1])


def test_one_exposure_group_with_two_pixel_sizes_becomes_two_optics_groups(job, table):
    path, _ = job
    table["ctf/exp_group_id"], table["ctf/accel_kv"] = 5, 300
    table["blob/psize_A"][2:] = 1.5
    particles, _ = read_particles(save(path, table))
    assert [group.pixel_size for group in particles.optics] == [1.345, 1.5]
    np.testing.assert_array_equal(particles.optics_index, [0, 0, 1, 1, 1, 1])


def test_poses_are_the_inverse_rotations_and_shifts_in_angstrom(job, table):
    particles, columns = read_particles(job[0])
    angles = [columns.particles[f"rlnAngle{name}"] for name in ("Rot", "Tilt", "Psi")]
    expected = Rotation.from_rotvec(table["alignments3D/pose"])
    np.testing.assert_allclose(euler_to_matrix(*angles), expected.inv().as_matrix(), atol=1e-6)
    np.testing.assert_allclose(
        np.abs(Rotation.from_euler("ZYZ", np.stack(angles, 1), degrees=True).as_matrix()),
        np.abs(expected.as_matrix()),
        atol=1e-6,
    )
    psize = table["alignments3D/psize_A"].astype(float)  # twice that of the images
    np.testing.assert_allclose(particles.origin_x, table["alignments3D/shift"][:, 0] * psize, 1e-6)
    np.testing.assert_allclose(particles.origin_y, table["alignments3D/shift"][:, 1] * psize, 1e-6)
    np.testing.assert_array_equal(
        columns.particles["rlnClassNumber"], table["alignments3D/class"] + 1
    )


def test_shifts_without_a_pixel_size_are_in_pixels_of_the_images(job, table):
    fields = [*BLOB, *CTF, *(f for f in alignment_fields() if not f[0].endswith("psize_A"))]
    path = save(job[0], make_dataset(fields=fields))
    particles, _ = read_particles(path)
    shift = make_dataset(fields=fields)["alignments3D/shift"]
    np.testing.assert_allclose(particles.origin_x, shift[:, 0] * 1.345, rtol=1e-5)


def test_poses_in_2d_give_psi_only(job):
    table = make_dataset(fields=[*BLOB, *CTF, *alignment_fields("alignments2D")])
    _, columns = read_particles(save(job[0], table))
    np.testing.assert_allclose(
        columns.particles["rlnAnglePsi"], np.rad2deg(table["alignments2D/pose"]), rtol=1e-6
    )
    assert "rlnAngleRot" not in columns.particles


@pytest.mark.parametrize("layout", ["class axis", "one result per class"])
def test_of_several_classes_the_most_probable_gives_the_pose(job, layout):
    n_classes, n = 3, 6
    multi = make_dataset(fields=[*BLOB, *CTF, *alignment_fields("alignments3D_multi",
                                                                classes=n_classes)])  # fmt: skip
    best = multi["alignments3D_multi/class_posterior"].argmax(axis=1)
    poses, shifts = multi["alignments3D_multi/pose"], multi["alignments3D_multi/shift"]
    table = multi
    if layout == "one result per class":
        results = [f for k in range(n_classes) for f in alignment_fields(f"alignments_class_{k}")]
        table = make_dataset(fields=[*BLOB, *CTF, *results])
        for k in range(n_classes):
            for name in ("pose", "shift", "class_posterior", "psize_A"):
                values = multi[f"alignments3D_multi/{name}"][:, k]
                table[f"alignments_class_{k}/{name}"] = values
    particles, columns = read_particles(save(job[0], table))
    np.testing.assert_array_equal(columns.particles["rlnClassNumber"], best + 1)
    assert len(set(best)) > 1
    chosen = Rotation.from_rotvec(poses[np.arange(n), best]).as_matrix()
    angles = [columns.particles[f"rlnAngle{name}"] for name in ("Rot", "Tilt", "Psi")]
    np.testing.assert_allclose(euler_to_matrix(*angles).transpose(0, 2, 1), chosen, atol=1e-6)
    np.testing.assert_allclose(
        particles.origin_x, shifts[np.arange(n), best, 0] * 2 * 1.345, rtol=1e-5
    )


def test_the_passthrough_file_beside_the_particles_is_found_and_read_once(job, table, monkeypatch):
    path, _ = job
    main = table[["uid", *[f[0] for f in alignment_fields()]]]
    save(path, main[:4])
    order = np.random.default_rng(1).permutation(6)
    rest = table[["uid", *[f[0] for f in (*BLOB, *CTF)]]][order]
    save(path.with_name("J9_passthrough_particles.cs"), rest)
    read = []
    monkeypatch.setattr(
        np, "load", lambda file, load=np.load, **o: read.append(file) or load(file, **o)
    )
    particles, _ = read_particles(path)
    np.testing.assert_array_equal(particles.defocus_u, table["ctf/df1_A"][:4])
    assert len(read) == 2


def test_a_passthrough_file_that_is_not_found_is_asked_for(job, table):
    save(job[0], table[["uid", *[f[0] for f in (*BLOB, *alignment_fields())]]])
    with pytest.raises(CryosparcError, match=r"no ctf/df1_A.*--passthrough"):
        read_particles(job[0])
    assert len(read_particles(job[0], ctf=False)[0]) == 6


def test_passthrough_files_of_a_star_file_are_refused(tmp_path):
    with pytest.raises(SettingsError, match="passthrough"):
        read_particles(ParticleFiles(tmp_path / "a.star", passthrough=(tmp_path / "b.cs",)))


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ([("map/path", "S20"), ("map/shape", "<u4", (3,)), ("map/psize_A", "<f4")], "a volume"),
        ([("micrograph_blob/path", "S20"), ("mscope_params/accel_kv", "<f4")], "micrographs"),
        ([("movie_blob/path", "S20")], "movies"),
        (LOCATION, "picks"),
        (BLOB, "2D class averages"),
        ([("pick_stats/power", "<f4")], "passthrough"),
    ],
)
def test_what_is_not_particles_is_refused_by_name(tmp_path, fields, words):
    with pytest.raises(CryosparcError, match=words):
        read_particles(save(tmp_path / "a.cs", make_dataset(fields=fields)))


def test_volumes_among_the_images_are_refused(tmp_path):
    fields = [f for f in BLOB if f[0] != "blob/shape"] + [("blob/shape", "<u4", (3,)), *CTF]
    table = make_dataset(fields=fields)
    write_stacks(tmp_path, table)
    with pytest.raises(CryosparcError, match="volumes"):
        read_particles(save(tmp_path / "a.cs", table))


@pytest.mark.parametrize(
    ("name", "value"),
    [("blob/psize_A", 0.0), ("ctf/accel_kv", np.inf), ("alignments3D/pose", np.nan)],
)
def test_impossible_values_are_named_with_their_row(job, table, name, value):
    table[name][2] = value
    with pytest.raises(CryosparcError, match=rf"{name} is .* in row 3"):
        read_particles(save(job[0], table))


@pytest.mark.parametrize(("name", "value"), [("ctf/df1_A", -1.0), ("ctf/df2_A", np.nan)])
def test_a_few_particles_without_underfocus_are_left_to_the_check(job, table, name, value):
    table[name][2] = value
    report = check_particles(save(job[0], table), InitialModelSettings(max_excluded=0.5))
    assert [(image.index, image.reason) for image in report.bad_images] == [(2, "no underfocus")]


@pytest.mark.parametrize(("name", "value"), [("ctf/df1_A", -1.0), ("ctf/df2_A", np.nan)])
def test_particles_most_of_which_have_no_underfocus_are_refused(job, table, name, value):
    table[name][1:] = value
    with pytest.raises(CryosparcError, match=f"{name} is {value:g} in row 2 .*underfocus"):
        read_particles(save(job[0], table))


def test_a_sign_of_minus_one_means_that_the_images_are_inverted(job, table):
    table["blob/sign"] = -1
    report = check_particles(save(job[0], table))
    assert report.contrast == "black on white"
    assert report.inverted
    table["blob/sign"] = 1
    assert not check_particles(save(job[0], table)).inverted


def test_particles_of_both_signs_are_made_alike_when_read(job, table):
    path, images = job
    sign = np.array([1, -1, 1, -1, -1, 1], dtype=np.float32)
    table["blob/sign"] = sign
    particles, _ = read_particles(save(path, table))
    for options in ({}, {"preread": True}, {"scratch": path.parent}):
        read = StackReader(particles.take(np.arange(6)[::-1]), **options).read(np.arange(6)[::-1])
        np.testing.assert_allclose(read.images, images * sign[:, None, None])
    report = check_particles(path)
    assert not report.inverted
    assert any("3 of 6 particles" in note for note in report.notes)


def test_aberrations_are_noted(job, table, caplog):
    read_particles(job[0])
    assert "beam tilt (ctf/tilt_A) is not zero; it is kept, but not used" in caplog.text


def test_names_of_relion_that_a_dataset_carries_do_not_lead_to_other_images(job, table):
    path, images = job
    fields = [*BLOB, *CTF, ("relion/rlnImageName", "S40")]
    carried = make_dataset(fields=fields)
    carried["relion/rlnImageName"] = b"000001@Extract/job007/gone.mrcs"
    particles, _ = read_particles(save(path, carried))
    np.testing.assert_allclose(StackReader(particles).read(np.arange(6)).images, images)
