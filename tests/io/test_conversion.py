"""Round trips between STAR files and datasets of cryoSPARC; cryosparc-tools as referee."""

import os

import numpy as np
import pytest
import starfile
from cryosparc_files import (
    BLOB,
    CTF,
    LOCATION,
    alignment_fields,
    make_dataset,
    save,
    write_stacks,
)
from mrc_files import particle_rows, star_text, write_particles, write_stack
from scipy.spatial.transform import Rotation

from napari_ini3d.errors import CryosparcError, StackError, StarError
from napari_ini3d.io import convert_to_cryosparc, convert_to_star, read_particles
from napari_ini3d.io.cryosparc.dataset import read_dataset

referee = pytest.importorskip("cryosparc.dataset")

FIELDS = {
    "3D": [*BLOB, *CTF, *alignment_fields()],
    "2D": [*BLOB, *CTF, *LOCATION, *alignment_fields("alignments2D")],
    "both": [*BLOB, *CTF, *alignment_fields(), *alignment_fields("alignments2D")],
    "classes": [*BLOB, *CTF, *alignment_fields("alignments3D_multi", classes=3)],
    "none": [*BLOB, *CTF, ("pick_stats/ncc_score", "<f4"), ("filament/filament_uid", "<u8")],
}
STAR = """
# version 30001

data_optics

loop_
_rlnOpticsGroup #1
_rlnOpticsGroupName #2
_rlnVoltage #3
_rlnSphericalAberration #4
_rlnAmplitudeContrast #5
_rlnImagePixelSize #6
_rlnImageSize #7
_rlnImageDimensionality #8
_rlnBeamTiltX #9
2 krios 300.0 2.7 0.1 1.059 64 2 0.123
5 "old microscope" 200.0 2.0 0.07 2.118 32 2 -0.5

# version 30001

data_particles

loop_
_rlnImageName #1
_rlnMicrographName #2
_rlnCoordinateX #3
_rlnDefocusU #4
_rlnDefocusV #5
_rlnDefocusAngle #6
_rlnPhaseShift #7
_rlnOpticsGroup #8
_rlnAngleRot #9
_rlnAngleTilt #10
_rlnAnglePsi #11
_rlnOriginXAngst #12
_rlnOriginYAngst #13
_rlnClassNumber #14
_rlnRandomSubset #15
_rlnLogLikeliContribution #16
3@Extract/a.mrcs m1.mrc 11.5 12345.6 12000.1 33.21 90.0 2 10.5 33.3 -120.7 1.25 -3.5 1 1 123456.7
1@Extract/a.mrcs m1.mrc 12.5 12346.6 12001.1 -33.21 0.0 2 179.9 0.0 12.0 0.0 0.0 3 2 1e7
2@Extract/b.mrcs m2.mrc 99.5 22345.6 22000.1 0.0 45.0 5 -90.0 180.0 45.0 7.75 2.5 2 1 -5.5
"""


def angle_between(first, second):
    """Largest angle (degrees) between rotation vectors."""
    turn = Rotation.from_rotvec(first) * Rotation.from_rotvec(second).inv()
    return np.rad2deg(turn.magnitude().max())


@pytest.mark.parametrize("kind", FIELDS)
def test_every_field_of_cryosparc_survives_the_way_to_relion_and_back(tmp_path, kind):
    table = make_dataset(fields=FIELDS[kind])
    save(tmp_path / "a.cs", table)
    convert_to_star(tmp_path / "a.cs", tmp_path / "a.star")
    convert_to_cryosparc(tmp_path / "a.star", tmp_path / "b.cs")
    found = referee.Dataset.load(tmp_path / "b.cs", cstrs=False)
    assert set(table.dtype.names) <= set(found.fields())
    again = read_dataset(tmp_path / "b.cs")
    for name in table.dtype.names:
        if name == "alignments3D/pose":
            assert angle_between(table[name], again[name]) < 1e-4
        elif name.endswith("/shift"):
            np.testing.assert_allclose(again[name], table[name], rtol=1e-6, atol=1e-6)
        else:
            np.testing.assert_array_equal(again[name], table[name], err_msg=name)
        assert again[name].dtype.kind == table[name].dtype.kind, name


def test_every_column_of_relion_survives_the_way_to_cryosparc_and_back(tmp_path):
    (tmp_path / "a.star").write_text(STAR)
    convert_to_cryosparc(tmp_path / "a.star", tmp_path / "a.cs")
    convert_to_star(tmp_path / "a.cs", tmp_path / "b.star")
    before, after = starfile.read(tmp_path / "a.star"), starfile.read(tmp_path / "b.star")
    for block in ("optics", "particles"):
        for name in before[block]:
            first, second = before[block][name].to_numpy(), after[block][name].to_numpy()
            if name.startswith("rlnAngle"):
                continue
            if first.dtype.kind == "f":
                np.testing.assert_allclose(second, first, rtol=1e-7, atol=1e-4, err_msg=name)
            else:
                np.testing.assert_array_equal(second, first, err_msg=name)
    names = ["rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi"]
    poses = [
        Rotation.from_euler("ZYZ", part["particles"][names], degrees=True).as_rotvec()
        for part in (before, after)
    ]
    assert angle_between(*poses) < 1e-4


def test_a_dataset_from_where_the_stacks_are_not_found_is_noted_with_the_cure(tmp_path):
    images = np.random.default_rng(1).normal(size=(3, 16, 16)).astype(np.float32)
    star = write_particles(tmp_path / "Select", images)
    (tmp_path / "J1").mkdir()
    done = convert_to_cryosparc(star, tmp_path / "J1" / "a.cs")
    assert [note for note in done.notes if "1 of 1 stacks are not found" in note]
    with pytest.raises(StackError, match="stacks not found"):
        read_particles(tmp_path / "J1" / "a.cs")
    done = convert_to_cryosparc(star, tmp_path / "J1" / "a.cs", project=tmp_path)
    assert not [note for note in done.notes if "stacks" in note]
    assert len(read_particles(tmp_path / "J1" / "a.cs")[0]) == 3
    assert not convert_to_cryosparc(star, tmp_path / "Select" / "a.cs").notes


def test_fields_have_cryosparcs_units_and_count_from_zero(tmp_path):
    (tmp_path / "a.star").write_text(STAR)
    convert_to_cryosparc(tmp_path / "a.star", tmp_path / "a.cs")
    found = referee.Dataset.load(tmp_path / "a.cs")
    assert list(found["blob/path"][[0, 2]]) == ["Extract/a.mrcs", "Extract/b.mrcs"]
    np.testing.assert_array_equal(found["blob/idx"], [2, 0, 1])
    np.testing.assert_array_equal(found["blob/shape"], [[64, 64], [64, 64], [32, 32]])
    np.testing.assert_allclose(found["blob/psize_A"], [1.059, 1.059, 2.118], rtol=1e-6)
    np.testing.assert_allclose(found["ctf/accel_kv"], [300, 300, 200])
    np.testing.assert_allclose(found["ctf/df1_A"], [12345.6, 12346.6, 22345.6], rtol=1e-6)
    np.testing.assert_allclose(found["ctf/df_angle_rad"], np.deg2rad([33.21, -33.21, 0]), 1e-6)
    np.testing.assert_allclose(found["ctf/phase_shift_rad"], np.deg2rad([90, 0, 45]), rtol=1e-6)
    pixels = np.array([[1.25, -3.5], [0, 0], [7.75, 2.5]]) / [[1.059], [1.059], [2.118]]
    np.testing.assert_allclose(found["alignments3D/shift"], pixels, rtol=1e-6)
    rotation = Rotation.from_euler("ZYZ", [10.5, 33.3, -120.7], degrees=True)
    np.testing.assert_allclose(found["alignments3D/pose"][0], rotation.as_rotvec(), rtol=1e-5)
    np.testing.assert_array_equal(found["alignments3D/class"], [0, 2, 1])
    np.testing.assert_array_equal(found["alignments3D/split"], [0, 1, 0])
    assert found["uid"].dtype == np.uint64
    assert len(set(found["uid"])) == 3


def test_uids_are_the_same_each_time_and_differ_for_copies_of_an_image(tmp_path):
    repeated = STAR + STAR.splitlines()[-1] + "\n"
    (tmp_path / "a.star").write_text(repeated)
    for name in ("a.cs", "b.cs"):
        convert_to_cryosparc(tmp_path / "a.star", tmp_path / name)
    first, second = (read_dataset(tmp_path / name)["uid"] for name in ("a.cs", "b.cs"))
    np.testing.assert_array_equal(first, second)
    assert len(set(first)) == 4


def test_a_result_group_names_the_dataset_and_its_results(tmp_path):
    (tmp_path / "a.star").write_text(STAR)
    done = convert_to_cryosparc(tmp_path / "a.star", tmp_path / "a.cs")
    assert done.files == (tmp_path / "a.cs", tmp_path / "a.csg")
    yaml = pytest.importorskip("yaml")
    group = yaml.safe_load((tmp_path / "a.csg").read_text())
    assert group["group"]["type"] == "particle"
    assert set(group["results"]) == {"blob", "ctf", "alignments3D"}
    for name, result in group["results"].items():
        assert result == {"metafile": ">a.cs", "num_items": 3, "type": f"particle.{name}"}


def test_a_template_keeps_its_fields_and_gets_the_poses_by_uid(tmp_path):
    table = make_dataset(fields=FIELDS["both"])
    save(tmp_path / "a.cs", table)
    write_stacks(tmp_path, table)
    convert_to_star(tmp_path / "a.cs", tmp_path / "a.star")
    blocks = starfile.read(tmp_path / "a.star")
    part = blocks["particles"].iloc[[4, 1]].copy()
    part["rlnAnglePsi"] = 12.0
    starfile.write({**blocks, "particles": part}, tmp_path / "b.star")
    convert_to_cryosparc(tmp_path / "b.star", tmp_path / "b.cs", template=tmp_path / "a.cs")
    found = read_dataset(tmp_path / "b.cs")
    for name in table.dtype.names:
        if not name.startswith("alignments3D"):
            np.testing.assert_array_equal(found[name], table[name][[4, 1]], err_msg=name)
    angles = part[["rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi"]]
    expected = Rotation.from_euler("ZYZ", angles, degrees=True).as_rotvec()
    assert angle_between(found["alignments3D/pose"], expected) < 1e-4


def test_a_template_without_the_particles_is_refused(tmp_path):
    table = make_dataset()
    save(tmp_path / "a.cs", table)
    convert_to_star(tmp_path / "a.cs", tmp_path / "a.star")
    save(tmp_path / "other.cs", table[:4])
    with pytest.raises(CryosparcError, match="2 of the 6 particles"):
        convert_to_cryosparc(tmp_path / "a.star", tmp_path / "b.cs", template=tmp_path / "other.cs")
    (tmp_path / "plain.star").write_text(STAR)
    with pytest.raises(StarError, match="no column cs/uid"):
        convert_to_cryosparc(tmp_path / "plain.star", tmp_path / "b.cs", template=tmp_path / "a.cs")


def test_images_that_were_extracted_again_do_not_keep_the_path_of_before(tmp_path):
    save(tmp_path / "a.cs", make_dataset())
    convert_to_star(tmp_path / "a.cs", tmp_path / "a.star")
    blocks = starfile.read(tmp_path / "a.star")
    blocks["particles"]["rlnImageName"] = "000001@Extract/job009/new.mrcs"
    starfile.write(blocks, tmp_path / "b.star")
    convert_to_cryosparc(tmp_path / "b.star", tmp_path / "b.cs")
    assert set(read_dataset(tmp_path / "b.cs")["blob/path"]) == {b"Extract/job009/new.mrcs"}


def test_particles_without_a_pose_are_left_out_with_a_note(tmp_path):
    (tmp_path / "a.star").write_text(STAR.replace(" 3 2 1e7", " 0 2 1e7"))
    done = convert_to_cryosparc(tmp_path / "a.star", tmp_path / "a.cs")
    assert done.n_particles == len(read_dataset(tmp_path / "a.cs")["uid"]) == 2
    assert any("1 particles of class 0" in note for note in done.notes)


def test_a_star_file_of_a_dataset_leads_to_its_images(tmp_path):
    table = make_dataset()
    write_stacks(tmp_path / "project", table)
    save(tmp_path / "project" / "J9" / "a.cs", table)
    convert_to_star(tmp_path / "project" / "J9" / "a.cs", tmp_path / "a.star")
    particles, _ = read_particles(tmp_path / "a.star")
    assert {path.name for path in particles.stack_paths} == {"a_particles.mrc", "b.mrcs"}
    names = starfile.read(tmp_path / "a.star")["particles"]["rlnImageName"]
    assert names[0].endswith("a_particles.mrc:mrcs")  # else RELION reads it as a volume
    assert names[5].endswith("b.mrcs")


def test_paths_become_relative_to_the_project_folder_of_cryosparc(tmp_path):
    table = make_dataset(2)
    table["blob/path"] = b"Extract/a.mrcs"
    write_stacks(tmp_path / "project" / "S1", table)
    text = STAR.rpartition("2@Extract")[0]
    star = tmp_path / "project" / "S1" / "a.star"
    star.write_text(text)
    convert_to_cryosparc(star, tmp_path / "a.cs", project=tmp_path / "project")
    assert set(read_dataset(tmp_path / "a.cs")["blob/path"]) == {b"S1/Extract/a.mrcs"}


def test_a_star_file_of_relion_30_needs_its_stack_for_the_box(tmp_path):
    table = make_dataset(2, box=48)
    table["blob/path"] = b"s.mrcs"
    rows = "1@s.mrcs 10000 9000 12 300 2.7 0.1 50000 5\n"
    labels = ("ImageName", "DefocusU", "DefocusV", "DefocusAngle", "Voltage",
              "SphericalAberration", "AmplitudeContrast", "Magnification",
              "DetectorPixelSize")  # fmt: skip
    header = "".join(f"_rln{label} #{i}\n" for i, label in enumerate(labels, 1))
    (tmp_path / "a.star").write_text(f"data_\n\nloop_\n{header}{rows}")
    with pytest.raises(StarError, match="rlnImageSize"):
        convert_to_cryosparc(tmp_path / "a.star", tmp_path / "a.cs")
    write_stacks(tmp_path, table)
    convert_to_cryosparc(tmp_path / "a.star", tmp_path / "a.cs")
    found = read_dataset(tmp_path / "a.cs")
    np.testing.assert_array_equal(found["blob/shape"], [[48, 48]])
    np.testing.assert_allclose(found["blob/psize_A"], [1.0])


def test_a_name_that_is_not_utf8_leads_to_its_images_in_both_formats(tmp_path):
    stack = os.fsdecode(b"caf\xe9.mrcs")
    write_stack(tmp_path / stack, np.random.default_rng(0).normal(size=(3, 16, 16)))
    star = tmp_path / "particles.star"
    text = star_text(particle_rows(3, stack=stack))
    star.write_bytes(text.encode("utf-8", "surrogateescape"))
    convert_to_cryosparc(star, tmp_path / "particles.cs")
    convert_to_star(tmp_path / "particles.cs", tmp_path / "again.star")
    for path in (star, tmp_path / "particles.cs", tmp_path / "again.star"):
        particles, _ = read_particles(path)
        assert [found.name for found in particles.stack_paths] == [stack]
