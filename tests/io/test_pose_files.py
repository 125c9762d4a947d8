"""Poses of cryoSPARC's datasets are read and changed as those of STAR files."""

import numpy as np
import pytest
from cryosparc_files import BLOB, CTF, alignment_fields, make_dataset
from scipy.spatial.transform import Rotation

from napari_ini3d.comparison import compare_poses
from napari_ini3d.errors import CryosparcError
from napari_ini3d.geometry import RigidTransform
from napari_ini3d.io import (
    convert_to_cryosparc,
    flip_particles,
    read_poses,
    rotate_particles,
)
from napari_ini3d.simulation import SimulationSettings, make_phantom, simulate_particles
from napari_ini3d.simulation.dataset import write_dataset

ROTATION = Rotation.from_euler("xyz", [31, -72, 128], degrees=True).as_matrix()
TRANSFORM = RigidTransform(ROTATION, np.array([7.5, -4.0, 11.0]))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("poses")
    settings = SimulationSettings(number=40, box_size=16, pixel_size=8.0)
    phantom = make_phantom(diameter=80.0)
    write_dataset(folder, simulate_particles(phantom, settings), phantom)
    convert_to_cryosparc(folder / "truth.star", folder / "truth.cs")
    return folder


def is_same_pose(first, second):
    angles = [Rotation.from_euler("ZYZ", poses.angles, degrees=True) for poses in (first, second)]
    apart = np.rad2deg((angles[0] * angles[1].inv()).magnitude())
    return apart.max() < 1e-3 and np.abs(first.origins - second.origins).max() < 1e-3


def test_the_poses_of_both_formats_are_the_same(folder):
    star, cs = read_poses(folder / "truth.star"), read_poses(folder / "truth.cs")
    assert is_same_pose(star, cs)
    found = compare_poses(star, cs)
    assert len(found) == 40
    assert found.angle.max() < 1e-3


@pytest.mark.parametrize("change", ["rotated", "flipped"])
@pytest.mark.parametrize(("before", "after"), [("cs", "cs"), ("cs", "star"), ("star", "cs")])
def test_poses_change_in_either_format_as_in_a_star_file(folder, tmp_path, change, before, after):
    def apply(source, target):
        if change == "rotated":
            rotate_particles(source, target, TRANSFORM)
        else:
            flip_particles(source, target)

    apply(folder / "truth.star", tmp_path / "expected.star")
    apply(folder / f"truth.{before}", tmp_path / f"changed.{after}")
    expected = read_poses(tmp_path / "expected.star")
    assert is_same_pose(read_poses(tmp_path / f"changed.{after}"), expected)
    assert not is_same_pose(read_poses(folder / "truth.star"), expected)


def test_all_other_fields_of_a_dataset_stay(folder, tmp_path):
    rotate_particles(folder / "truth.cs", tmp_path / "moved.cs", TRANSFORM)
    before, after = np.load(folder / "truth.cs"), np.load(tmp_path / "moved.cs")
    assert set(before.dtype.names) <= set(after.dtype.names)
    for name in before.dtype.names:
        if not name.startswith("alignments3D/"):
            np.testing.assert_array_equal(after[name], before[name])


def test_poses_of_other_classes_stay_and_that_is_said(tmp_path, caplog):
    fields = [*BLOB, *CTF, *alignment_fields(), *alignment_fields("alignments_class_1")]
    with open(tmp_path / "a.cs", "wb") as file:
        np.save(file, make_dataset(fields=fields))
    flip_particles(tmp_path / "a.cs", tmp_path / "b.cs")
    assert "alignments_class_1 not changed" in caplog.text
    before, after = np.load(tmp_path / "a.cs"), np.load(tmp_path / "b.cs")
    name = "alignments_class_1/pose"
    np.testing.assert_array_equal(after[name], before[name])


@pytest.mark.parametrize("result", [None, "alignments2D"])
def test_a_dataset_without_poses_in_3d_is_refused(tmp_path, result):
    fields = [*BLOB, *CTF, *(alignment_fields(result) if result else [])]
    with open(tmp_path / "a.cs", "wb") as file:
        np.save(file, make_dataset(fields=fields))
    with pytest.raises(CryosparcError, match="expected alignments3D"):
        read_poses(tmp_path / "a.cs")
    with pytest.raises(CryosparcError, match="expected alignments3D"):
        flip_particles(tmp_path / "a.cs", tmp_path / "b.cs")
    assert not (tmp_path / "b.cs").exists()
