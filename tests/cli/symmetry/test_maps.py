"""`ini3d symmetry`, with stand-ins for the searches: output, files, exit codes."""

import re
from dataclasses import replace

import mrcfile
import numpy as np
import pytest
from fake_runs import make_report as make_iteration, make_volume
from fake_symmetry import make_alignment, make_report
from matplotlib.image import imread
from symmetry_commands import ANGLES, ORIGINS, ROTATION, SHIFT, invoke, plain, poses, values

from napari_ini3d.cli.symmetry import (
    files as files_module,
    impose as impose_module,
    maps as maps_module,
)
from napari_ini3d.errors import SymmetryError
from napari_ini3d.fourier.resample import mirror_map
from napari_ini3d.geometry.poses import flip_angles, rotate_poses
from napari_ini3d.geometry.rigid import RigidTransform
from napari_ini3d.io.mrc.maps import read_map, write_map
from napari_ini3d.runs.folder import RunFolder
from napari_ini3d.runs.record import RunRecord
from napari_ini3d.runs.summary import IterationSummary
from napari_ini3d.settings import InitialModelSettings
from napari_ini3d.simulation import SimulationSettings, make_phantom, simulate_particles
from napari_ini3d.simulation.dataset import write_dataset


@pytest.fixture(autouse=True)
def terminal(monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("TERM", "dumb")


@pytest.fixture
def asked(monkeypatch):
    """Stand-ins that find what is in `found`, and keep what they were asked."""
    calls = {"found": {"report": make_report("D2", rotation=ROTATION), "alignment": aligned_d2()}}

    def detect(volume, **options):
        calls["detect"] = options
        return calls["found"]["report"]

    def align(volume, group, **options):
        calls["align"] = {"group": group, **options}
        found = calls["found"]["alignment"]
        return found(volume) if callable(found) else found

    monkeypatch.setattr(maps_module, "detect_symmetry", detect)
    monkeypatch.setattr(files_module, "align_symmetry", align)
    return calls


MOVED = RigidTransform(ROTATION, np.array(SHIFT))


def aligned_d2(**changes):
    return make_alignment("D2", rotation=ROTATION, shift=SHIFT, **changes)


@pytest.fixture
def volume(tmp_path):
    path = tmp_path / "map.mrc"
    write_map(path, make_volume(seed=1), 4.0)
    return path


@pytest.fixture
def star(tmp_path):
    settings = SimulationSettings(number=6, box_size=16, pixel_size=4.0)
    phantom = make_phantom(diameter=50.0)
    write_dataset(tmp_path / "data", simulate_particles(phantom, settings), phantom)
    return tmp_path / "data" / "truth.star"


@pytest.fixture
def run_folder(tmp_path, star):
    folder = RunFolder.create(tmp_path / "run")
    record = RunRecord(
        version="0", command="", started="", particles=str(star), particles_sha256="",
        n_particles=6, settings=InitialModelSettings(classes=3),
    )  # fmt: skip
    folder.write_record(record)
    report = make_iteration(
        10, classes=3, class_shares=np.array([0.2, 0.5, 0.3]),
        resolution=np.array([20.0, 15.0, 10.0]),
    )  # fmt: skip
    for k, data in enumerate(report.volumes):
        write_map(folder.class_map_path(10, k), data, 4.0)
    folder.append_progress(IterationSummary.from_report(report).to_json())
    folder.write_checkpoint({"iteration": np.array(10)}, 10, keep=True)
    folder.iteration_path(10, "data.star").write_text(star.read_text())
    return folder.path


def test_detection_as_json_has_the_keys_that_scripts_read(asked, volume):
    found = values(invoke("detect", volume, "--json"))
    assert found["group"] == "D2"
    assert [set(c) >= {"group", "score", "fsc05", "axes"} for c in found["candidates"]] == [
        True
    ] * 2
    (first, *_) = found["candidates"]
    assert (first["group"], first["score"], first["fsc05"]) == ("D2", 0.95, 14.2)
    assert [axis["order"] for axis in first["axes"]] == [2, 2, 2]
    directions = np.array([axis["direction"] for axis in first["axes"]])
    np.testing.assert_allclose(np.abs(ROTATION @ directions.T).max(axis=0), 1, atol=1e-6)
    assert {axis["score"] for axis in first["axes"]} == {0.95}
    assert asked["detect"] == {
        "voxel_size": 4.0,
        "resolution": None,
        "half_maps": None,
        "threads": 0,
    }


def test_detection_is_a_table_on_the_terminal(asked, volume):
    result = invoke("detect", volume, "--resolution", 12)
    assert result.exit_code == 0
    text = plain(result.stdout)
    assert "D2 0.950 14.2 Å 3 x 2-fold holds" in text
    assert "The map has D2." in text
    assert asked["detect"]["resolution"] == 12


def test_a_map_without_symmetry_is_no_failure(asked, volume):
    asked["found"]["report"] = make_report("D2", holds=False)
    result = invoke("detect", volume)
    assert result.exit_code == 0
    assert "does not hold" in result.stdout


def test_warnings_are_said_on_the_error_stream(asked, volume):
    words = "the map reaches the border of its box [all sides]"
    asked["found"]["report"] = replace(make_report(), warnings=(words,))
    result = invoke("detect", volume, "--json")
    assert f"warning: {words}" in result.stderr
    assert values(result)["warnings"] == [words]


def test_detection_draws_a_picture(asked, volume, tmp_path):
    result = invoke("detect", volume, "--picture", tmp_path / "found.png")
    assert imread(tmp_path / "found.png").ndim == 3
    assert f"Picture: {tmp_path / 'found.png'}" in result.stdout


def test_aligning_writes_the_rotated_map_and_says_how(asked, volume, tmp_path):
    output = tmp_path / "out.mrc"
    result = invoke(
        "align", volume, "--symmetry", "d2", "--output", output, "--json", "--keep-centre",
        "--only-rot", "--resolution", 15, "--threads", 2, "--picture", tmp_path / "p.png",
    )  # fmt: skip
    found = values(result)
    np.testing.assert_allclose(found["rotation"], ROTATION, atol=1e-9)
    assert found["shift"] == list(SHIFT)
    assert (found["score"], found["holds"], found["output"]) == (0.95, True, str(output))
    written = read_map(output)
    expected = aligned_d2().apply(read_map(volume).data)
    np.testing.assert_array_equal(written.data, expected)
    assert written.voxel_size == 4.0
    assert asked["align"] == {
        "group": "d2", "voxel_size": 4.0, "keep_centre": True, "only_rot": True, "resolution": 15,
        "threads": 2, "half_maps": None,
    }  # fmt: skip
    assert imread(tmp_path / "p.png").ndim == 3


def test_particles_follow_the_map(asked, volume, star, tmp_path):
    target = tmp_path / "rotated.star"
    result = invoke(
        "align", volume, "--symmetry", "D2", "--output", tmp_path / "out.mrc",
        "--particles", star, "--particles-output", target,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    angles, origins = rotate_poses(poses(star, ANGLES), poses(star, ORIGINS), MOVED)
    np.testing.assert_allclose(poses(target, ANGLES), angles, atol=1e-6)
    np.testing.assert_allclose(poses(target, ORIGINS), origins, atol=1e-6)
    assert f"Particles: {target}" in result.stdout


def test_a_group_that_does_not_hold_is_exit_code_4_and_writes_nothing(
    asked, volume, star, tmp_path
):
    asked["found"]["alignment"] = aligned_d2(holds=False)
    before = sorted(tmp_path.rglob("*"))
    arguments = (
        "align", volume, "--symmetry", "D2", "--output", tmp_path / "out.mrc", "--picture",
        tmp_path / "p.png", "--particles", star, "--particles-output", tmp_path / "t.star",
    )  # fmt: skip
    result = invoke(*arguments)
    assert result.exit_code == 4
    assert "D2 does not hold" in result.stdout
    assert "--force" in result.stderr
    found = values(invoke(*arguments, "--json"))
    assert (found["holds"], found["output"], found["particles_output"]) == (False, None, None)
    assert sorted(tmp_path.rglob("*")) == before
    forced = invoke(*arguments, "--force")
    assert forced.exit_code == 0
    assert all((tmp_path / name).is_file() for name in ("out.mrc", "p.png", "t.star"))


def test_particles_that_cannot_be_rotated_stop_everything(asked, volume, star, tmp_path):
    result = invoke(
        "align", volume, "--symmetry", "D2", "--output", tmp_path / "out.mrc",
        "--particles", star.with_name("particles.star"),
        "--particles-output", tmp_path / "t.star",
    )  # fmt: skip
    assert result.exit_code == 1
    assert "no rlnAngleRot" in result.stderr
    assert not (tmp_path / "out.mrc").exists()


@pytest.mark.parametrize(
    ("choice", "number"),
    [((), 2), (("--class", "largest"), 2), (("--class", "best-resolved"), 3),
     (("--class", "most-symmetric"), 1)],
)  # fmt: skip
def test_a_run_folder_gives_map_and_particles(asked, run_folder, tmp_path, choice, number):
    def found(data):
        first = read_map(run_folder / "run_it010_class001.mrc").data
        return replace(aligned_d2(), score=0.9 if np.array_equal(data, first) else 0.5)

    asked["found"]["alignment"] = found
    result = invoke(
        "align", run_folder, "--symmetry", "D2", "--output", tmp_path / "out.mrc", *choice,
        "--particles-output", tmp_path / "t.star", "--json",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert values(result)["map"] == str(run_folder / f"run_it010_class00{number}.mrc")
    angles = poses(run_folder / "run_it010_data.star", ANGLES)
    expected, _ = rotate_poses(angles, np.zeros((6, 2)), MOVED)
    np.testing.assert_allclose(poses(tmp_path / "t.star", ANGLES), expected, atol=1e-6)


def test_the_class_with_the_largest_group_is_the_most_symmetric(asked, run_folder, monkeypatch):
    groups = iter(["C2", "D2", "C1", "D2"])
    monkeypatch.setattr(maps_module, "detect_symmetry", lambda *_, **__: make_report(next(groups)))
    result = invoke("detect", run_folder, "--class", "most-symmetric", "--json")
    assert values(result)["map"] == str(run_folder / "run_it010_class002.mrc")


def test_the_other_hand_of_map_and_particles_is_written(volume, star, tmp_path):
    result = invoke(
        "flip-hand", volume, "--output", tmp_path / "out.mrc",
        "--particles", star, "--particles-output", tmp_path / "t.star",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    expected = mirror_map(read_map(volume).data)
    np.testing.assert_array_equal(read_map(tmp_path / "out.mrc").data, expected)
    found = poses(tmp_path / "t.star", ANGLES)
    np.testing.assert_allclose(found, flip_angles(poses(star, ANGLES)), atol=1e-6)


def test_the_hand_of_a_run_is_flipped(run_folder, tmp_path):
    result = invoke("flip-hand", run_folder, "--output", tmp_path / "out.mrc", "--json")
    assert values(result)["map"] == str(run_folder / "run_it010_class002.mrc")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--class", "largest"), "is not a run folder"),
        (("--particles", "a.star"), "needs --particles-output"),
        (("--particles-output", "a.star"), "needs --particles, or a run folder"),
        (("--class", "smallest"), "smallest"),
    ],
)
@pytest.mark.parametrize("command", [("align", "--symmetry", "D2"), ("flip-hand",)])
def test_wrong_usage_is_exit_code_2(asked, volume, tmp_path, command, arguments, words):
    result = invoke(command[0], volume, *command[1:], "-o", tmp_path / "o.mrc", *arguments)
    assert result.exit_code == 2
    assert words in plain(result.stderr)
    assert not (tmp_path / "o.mrc").exists()


@pytest.mark.parametrize("command", [("align", "--symmetry", "D2"), ("flip-hand",)])
def test_the_input_is_never_overwritten(asked, volume, star, tmp_path, command):
    before = volume.read_bytes(), star.read_bytes()
    (tmp_path / "link.mrc").symlink_to(volume)
    for outputs in (
        ("-o", volume),
        ("-o", tmp_path / "link.mrc"),
        ("-o", tmp_path / "o.mrc", "--particles", star, "--particles-output", star),
        ("-o", tmp_path / "o.mrc", "--particles", star, "--particles-output", tmp_path / "o.mrc"),
    ):
        result = invoke(command[0], volume, *command[1:], *outputs)
        assert result.exit_code == 1
        assert re.search("is read by this command|would be written twice", result.stderr)
    assert (volume.read_bytes(), star.read_bytes()) == before
    assert not (tmp_path / "o.mrc").exists()


def _spoil(path, change):
    with mrcfile.open(path, "r+") as file:
        change(file)


BAD = {
    "NaN": (lambda file: file.data.__setitem__((3, 3, 3), np.nan), "1 voxels are NaN"),
    "constant": (lambda file: file.data.fill(2.0), "every voxel is 2"),
    "no voxel size": (lambda file: setattr(file, "voxel_size", 0.0), "voxel size 0 x 0 x 0"),
    "anisotropic": (lambda file: setattr(file, "voxel_size", (4, 4, 5)), "differs between axes"),
    "small": (lambda file: file.set_data(np.ones((14,) * 3, np.float32)), "at least 16"),
}


@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize("command", [("detect",), ("align", "-s", "D2", "-o", "o.mrc")])
def test_a_map_that_cannot_be_used_is_refused_in_one_line(volume, command, name):
    change, words = BAD[name]
    _spoil(volume, change)
    result = invoke(command[0], volume, *command[1:])
    assert result.exit_code == 1
    assert words in result.stderr
    assert "map.mrc" in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize("group", ["CI", "D2h", "I5", "C0"])
@pytest.mark.parametrize("command", ["align", "impose"])
def test_groups_that_are_none_of_rotations_are_refused(volume, tmp_path, command, group):
    result = invoke(command, volume, "--symmetry", group, "-o", tmp_path / "o.mrc")
    assert result.exit_code == 1
    assert group in result.stderr
    assert not (tmp_path / "o.mrc").exists()


def test_help_names_the_exit_code_of_a_group_that_does_not_hold():
    assert "4 where the point group does not hold" in plain(invoke("--help").stdout)


@pytest.mark.parametrize("shape", [(33, 33, 33), (36, 40, 42)])
def test_a_map_of_any_box_is_written_back_in_its_box(tmp_path, shape):
    data = np.zeros(shape, np.float32)
    centre = tuple(n // 2 for n in shape)  # (z, y, x)
    data[centre[0] + 5, centre[1] + 2, centre[2] - 3] = 1
    write_map(tmp_path / "map.mrc", data, 4.0)
    result = invoke("flip-hand", tmp_path / "map.mrc", "--output", tmp_path / "out.mrc")
    assert result.exit_code == 0, result.stderr
    written = read_map(tmp_path / "out.mrc", any_box=True).data
    assert written.shape == shape
    place = tuple(int(i) for i in np.unravel_index(written.argmax(), shape))
    assert place == (centre[0] - 5, centre[1] + 2, centre[2] - 3)


def test_the_pixel_size_can_be_given_for_a_map_without_one(volume, tmp_path):
    _spoil(volume, lambda file: setattr(file, "voxel_size", 0.0))
    arguments = ("flip-hand", volume, "--output", tmp_path / "out.mrc")
    assert "--pixel-size" in invoke(*arguments).stderr
    assert invoke(*arguments, "--pixel-size", "3.5").exit_code == 0
    assert read_map(tmp_path / "out.mrc").voxel_size == pytest.approx(3.5)


@pytest.fixture
def half_maps(monkeypatch):
    """Half-maps of the class that a run has validated."""
    found = make_volume(seed=7), make_volume(seed=8)
    monkeypatch.setattr(files_module.ValidationFiles, "read_half_maps", lambda *_: found)
    return found


def test_detection_uses_the_half_maps_of_the_class_that_was_validated(asked, run_folder, half_maps):
    assert invoke("detect", run_folder).exit_code == 0
    assert asked["detect"]["half_maps"] is half_maps
    assert invoke("detect", run_folder, "--class", "best-resolved").exit_code == 0
    assert asked["detect"]["half_maps"] is None


def test_imposing_a_group_judges_the_aligned_map_by_its_aligned_half_maps(
    asked, run_folder, half_maps, monkeypatch, tmp_path
):
    used = {}

    def validate(volume, group, **options):
        used.update(options)
        raise SymmetryError("enough")

    monkeypatch.setattr(impose_module, "validate_symmetry", validate)
    words = ("impose", run_folder, "--symmetry", "D2", "--output", tmp_path / "d2.mrc")
    assert "enough" in plain(invoke(*words).output)
    assert used["half_maps"] is half_maps
    assert "enough" in plain(invoke(*words, "--align").output)
    for found, half in zip(used["half_maps"], half_maps, strict=True):
        np.testing.assert_allclose(found, aligned_d2().apply(half), atol=1e-6)
