"""`ini3d compare --poses` on simulated particles, whose true poses are changed by the project."""

import json

import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from typer.testing import CliRunner

from napari_ini3d.cli.app import app
from napari_ini3d.geometry import RigidTransform
from napari_ini3d.io import flip_particles, rotate_particles
from napari_ini3d.simulation import (
    SimulationSettings,
    make_phantom,
    simulate_particles,
    write_dataset,
)

ROTATION = Rotation.from_euler("xyz", [31, -72, 128], degrees=True).as_matrix()
TRANSFORM = RigidTransform(ROTATION, np.array([7.5, -4.0, 11.0]))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("poses")
    settings = SimulationSettings(number=60, box_size=16, pixel_size=8.0, junk=0.2)
    phantom = make_phantom(diameter=80.0)
    write_dataset(folder, simulate_particles(phantom, settings), phantom)
    flip_particles(folder / "truth.star", folder / "flipped.star")
    rotate_particles(folder / "flipped.star", folder / "moved.star", TRANSFORM)
    return folder


def invoke(*arguments):
    return CliRunner().invoke(app, ["compare", *map(str, arguments)], env={"COLUMNS": "200"})


def test_a_flipped_and_rotated_set_is_recognised_and_has_no_error(folder):
    result = invoke("--poses", folder / "truth.star", folder / "moved.star", "--json")
    found = json.loads(result.stdout)
    assert found["event"] == "compared_poses"
    assert found["mirrored"]
    assert found["hand_is_clear"]
    assert found["matched"] == found["agreeing"] == 60 - found["unassigned"][0]
    assert found["unassigned"][0] > 0  # junk has no true pose
    for name in ("angle", "out_of_plane", "shift"):
        assert found[f"mean_{name}"] == pytest.approx(0, abs=1e-3)
        assert found[f"median_{name}"] == pytest.approx(0, abs=1e-3)
    expected = TRANSFORM.inverse().mirrored()
    np.testing.assert_allclose(found["rotation"], expected.rotation, atol=1e-4)
    np.testing.assert_allclose(found["translation"], expected.shift, atol=1e-2)


def test_poses_are_compared_in_words_and_a_table(folder):
    result = invoke("--poses", folder / "truth.star", folder / "moved.star", "--symmetry", "c2")
    assert result.exit_code == 0
    assert "The hands differ, and the second set was mirrored" in result.stdout
    assert "particles of class 0 have no pose and were left out" in result.stdout
    assert "(C2)" in result.stdout
    assert result.stdout.split("median")[-1].split() == [
        *("angle", "0.00°", "0.00°"),
        *("out-of-plane", "angle", "0.00°", "0.00°"),
        *("shift", "0.00", "Å", "0.00", "Å"),
    ]


def test_a_file_without_poses_is_refused_with_what_is_missing(folder):
    result = invoke("--poses", folder / "particles.star", folder / "particles.star")
    assert result.exit_code == 1
    assert "particles.star: data_particles has no rlnAngleRot" in result.stderr


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--poses", "--no-align"], "are for maps only"),
        (["--poses", "--mask-diameter", "100"], "are for maps only"),
        (["--poses", "-o", "fsc.png"], "are for maps only"),
        (["--symmetry", "D2"], "--symmetry is for --poses only"),
        ([], "add --poses"),
    ],
)
def test_options_that_do_not_belong_together_are_refused(folder, options, words):
    result = invoke(*options, folder / "truth.star", folder / "moved.star")
    assert result.exit_code == 2
    assert words in " ".join(result.stderr.split())


def test_an_unknown_point_group_is_refused(folder):
    result = invoke("--poses", folder / "truth.star", folder / "moved.star", "--symmetry", "X2")
    assert result.exit_code == 1
    assert "unknown point group" in result.stderr
