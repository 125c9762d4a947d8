"""The scripts in examples/, each run on tiny data."""

from __future__ import annotations

import re
import runpy
import sys
from pathlib import Path

import mrcfile
import numpy as np
import pytest
import starfile
from symmetry_phantoms import VOXEL, known_map

from napari_ini3d import read_map, read_particles, write_map
from napari_ini3d.runs import RunFolder

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples"
SCRIPTS = sorted(path.name for path in EXAMPLES.glob("*.py"))
ITERATIONS = 6


def count(star: Path) -> int:
    """The number of particles of a STAR file that can be read."""
    return len(read_particles(star)[0])


@pytest.fixture
def example(monkeypatch, capsys):
    """A function that runs a script with arguments, and returns what it prints."""

    def run(name: str, *arguments: object) -> str:
        monkeypatch.setattr(sys, "argv", [name, *map(str, arguments)])
        runpy.run_path(str(EXAMPLES / name), run_name="example")
        return capsys.readouterr().out

    return run


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Folder with particles.star, truth.star and a finished run in `run`."""
    folder = tmp_path_factory.mktemp("examples")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["simulate.py", str(folder), "60"])
        runpy.run_path(str(EXAMPLES / "simulate.py"))
        arguments = [folder / "particles.star", folder / "run", 160, ITERATIONS]
        patch.setattr(sys, "argv", ["run_and_watch.py", *map(str, arguments)])
        runpy.run_path(str(EXAMPLES / "run_and_watch.py"))
    return folder


@pytest.fixture
def tetramer(tmp_path):
    """A map with D2 symmetry whose axes point anywhere."""
    write_map(tmp_path / "map.mrc", known_map("D2").volume, VOXEL)
    return tmp_path / "map.mrc"


def test_every_script_is_run_by_a_test_and_listed_with_its_usage():
    tests = Path(__file__).read_text(encoding="utf-8")
    tests += (ROOT / "tests/plugin/test_example.py").read_text(encoding="utf-8")
    listed = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    assert len(SCRIPTS) >= 12
    for name in SCRIPTS:
        assert f'"{name}"' in tests
        assert f"`{name}`" in listed
        text = (EXAMPLES / name).read_text(encoding="utf-8")
        assert re.search(rf"^usage: python {re.escape(name)} ", text, flags=re.M)


def test_the_simulated_particles_and_their_run_are_written(finished):
    assert count(finished / "particles.star") == 60
    assert RunFolder.open(finished / "run").outcome() == "SUCCESS"
    assert read_map(finished / "run" / "initial_model.mrc").data.shape == (32, 32, 32)


def test_a_run_that_is_stopped_at_a_resolution_is_finished_later(example, finished, tmp_path):
    folder = tmp_path / "run"
    arguments = (finished / "particles.star", folder, 160, 1000.0, ITERATIONS)
    said = example("stop_and_resume.py", *arguments)
    assert "Stopped after iteration 1; maps: run_it001_class001.mrc" in said
    assert f"Finished at iteration {ITERATIONS}" in said
    assert RunFolder.open(folder).outcome() == "SUCCESS"


def test_own_images_become_particles_that_can_be_checked(example, finished, tmp_path):
    (stack,) = finished.glob("*.mrcs")
    images = mrcfile.read(stack)
    np.save(tmp_path / "images.npy", images)
    with pytest.raises(SystemExit) as ended:
        example("own_images.py", tmp_path / "images.npy", 6.0, tmp_path / "own")
    assert ended.value.code == 0
    assert count(tmp_path / "own" / "particles.star") == len(images)
    np.testing.assert_array_equal(mrcfile.read(tmp_path / "own" / "images.mrcs"), images)


def test_the_symmetry_of_a_map_is_found_and_drawn(example, tetramer, tmp_path):
    said = example("map_symmetry.py", tetramer, tmp_path / "axes.png")
    assert said.startswith("D2 holds")
    assert said.count("2-fold axis along") == 3
    assert (tmp_path / "axes.png").stat().st_size > 10_000


def test_a_map_is_aligned_and_its_group_imposed(example, tetramer, tmp_path):
    said = example("align_and_impose.py", tetramer, "D2", tmp_path / "a.mrc", tmp_path / "d2.mrc")
    assert said.count("D2 holds") == 2
    imposed = read_map(tmp_path / "d2.mrc").data[1:, 1:, 1:]
    assert np.corrcoef(imposed.ravel(), imposed[:, ::-1, ::-1].ravel())[0, 1] > 0.999


def test_a_group_that_does_not_hold_is_not_imposed(example, tetramer, tmp_path):
    with pytest.raises(SystemExit) as ended:
        example("align_and_impose.py", tetramer, "C5", tmp_path / "a.mrc", tmp_path / "c5.mrc")
    assert ended.value.code == 4
    assert not (tmp_path / "a.mrc").exists()


def test_two_maps_are_compared_after_alignment(example, tetramer, tmp_path):
    volume = read_map(tetramer).data
    write_map(tmp_path / "other.mrc", np.ascontiguousarray(volume.transpose(0, 2, 1)), VOXEL)
    said = example("compare_maps.py", tetramer, tmp_path / "other.mrc", tmp_path / "fsc.png")
    assert "other hand: True" in said
    assert float(re.search(r"Mean FSC to 20 Å: ([\d.]+)", said)[1]) > 0.99
    assert (tmp_path / "fsc.png").exists()


def test_poses_are_the_same_as_themselves(example, finished):
    truth = finished / "truth.star"
    said = example("compare_poses.py", truth, truth, "D2")
    assert "angle: mean 0.00, median 0.00" in said
    assert "shift: mean 0.00, median 0.00" in said


def test_pictures_are_drawn_without_a_window(example, finished, tmp_path):
    example("pictures.py", finished / "run" / "initial_model.mrc", tmp_path / "picture.png")
    assert (tmp_path / "picture.png").read_bytes().startswith(b"\x89PNG")


def test_particles_without_junk_are_selected(example, finished, tmp_path):
    good, junk = tmp_path / "good.star", tmp_path / "junk.star"
    said = example("select_without_junk.py", finished / "run", good, junk, 0.5)
    kept, rejected = map(int, re.match(r"(\d+) particles stay, (\d+) leave", said).groups())
    assert kept + rejected == 60
    assert count(good) == kept


def test_expanded_particles_are_folded_into_one_unit(example, finished, tmp_path):
    expanded, folded = tmp_path / "expanded.star", tmp_path / "folded.star"
    said = example("expand_and_fold.py", finished / "truth.star", "D2", expanded, folded)
    assert len(starfile.read(expanded)["particles"]) == int(said.split()[0]) == 4 * 60
    angles = starfile.read(folded)["particles"]
    copies = angles.groupby("rlnImageName")[["rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi"]]
    assert (copies.nunique() == 1).all().all()


def test_a_run_is_followed_to_its_end(example, finished):
    lines = example("follow_run.py", finished / "run").splitlines()
    assert len(lines) == 1 + ITERATIONS + 1
    assert lines[-1] == "The run has ended: SUCCESS"


def test_a_batch_goes_on_after_a_set_that_cannot_be_used(example, finished, tmp_path):
    missing = tmp_path / "missing" / "particles.star"
    star = finished / "particles.star"
    said = example("batch.py", tmp_path / "out", 160, ITERATIONS, missing, star).splitlines()
    assert said[0].startswith(f"{missing}: ")
    assert re.match(rf"{re.escape(str(star))}: (reliable|uncertain|failed)", said[1])
