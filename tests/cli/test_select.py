"""`ini3d select` on runs of a fake engine."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest
import starfile
from fake_runs import FakeState, fake_reconstruct, make_assignments
from typer.testing import CliRunner

from napari_ini3d.cli.app import app
from napari_ini3d.io import read_particles
from napari_ini3d.jobs import run as run_module
from napari_ini3d.runs.folder import RunFolder
from napari_ini3d.simulation import SimulationSettings, make_phantom, simulate_particles
from napari_ini3d.simulation.dataset import write_dataset

JUNK = np.array([0.0, 0.9, 0.2, 0.5, 1.0, 0.1, 0.3, 0.7, 0.0, 0.0, 0.6, 0.4])
GOOD = np.flatnonzero(JUNK <= 0.5)


def with_junk(*args, phase="search", **kwargs):
    """A fake engine whose particles have the probabilities above."""
    for report in fake_reconstruct(*args, **kwargs):
        assignments = make_assignments(len(JUNK), junk=JUNK)
        assignments.rot[:] = np.arange(len(JUNK)) + 100 * report.iteration
        assignments.class_index[0] = -1 if report.iteration == 2 else 0
        yield replace(report, assignments=assignments, phase=phase)


def invoke(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def make_run(folder, star):
    result = invoke("run", star, "-o", folder, "--mask-diameter", 100, "--iterations", 4,
                    "--write-every", 2, "--json")  # fmt: skip
    assert result.exit_code == 0, result.output
    return result


@pytest.fixture
def star(tmp_path, monkeypatch):
    monkeypatch.setattr(run_module, "reconstruct", with_junk)
    monkeypatch.setattr(run_module, "EngineState", FakeState)
    monkeypatch.setattr(run_module, "write_report", lambda folder, **_: folder.report_path.touch())
    monkeypatch.setenv("COLUMNS", "200")
    settings = SimulationSettings(number=len(JUNK), box_size=32, pixel_size=4.0, groups=2)
    phantom = make_phantom(diameter=80.0)
    return write_dataset(tmp_path / "data", simulate_particles(phantom, settings), phantom)


@pytest.fixture
def run(star, tmp_path):
    make_run(tmp_path / "run", star)
    return tmp_path / "run"


def particles_of(path):
    return starfile.read(path)["particles"]


def test_the_particles_that_stay_have_their_columns_and_their_last_poses(run, star, tmp_path):
    result = invoke("select", run, "-o", tmp_path / "good.star")
    assert result.exit_code == 0, result.output
    original, good = particles_of(star), particles_of(tmp_path / "good.star")
    assert set(original) <= set(good)
    assert (good["rlnDefocusU"] == original["rlnDefocusU"][GOOD].to_numpy()).all()
    assert good["rlnAngleRot"].tolist() == (GOOD + 400).tolist()
    assert good["ini3dJunkProbability"].max() == 0.5
    assert "Iteration 4: 8 of 12 particles stay, 4 leave" in result.stdout


def test_the_particles_that_stay_can_go_to_cryosparc(run, star, tmp_path):
    result = invoke("select", run, "-o", tmp_path / "good.cs")
    assert result.exit_code == 0, result.output
    found, expected = np.load(tmp_path / "good.cs"), particles_of(star)
    np.testing.assert_allclose(found["ctf/df1_A"], expected["rlnDefocusU"][GOOD])
    assert found["alignments3D/pose"].shape == (len(GOOD), 3)
    assert (tmp_path / "good.csg").is_file()


def test_the_selected_particles_can_be_read_from_another_folder(run, star, tmp_path, monkeypatch):
    elsewhere = tmp_path / "x" / "y"
    elsewhere.mkdir(parents=True)
    monkeypatch.chdir("/")
    assert invoke("select", run, "-o", elsewhere / "good.star").exit_code == 0
    particles, _ = read_particles(elsewhere / "good.star")
    original, _ = read_particles(star)
    assert particles.stack_paths == original.stack_paths
    assert (particles.image_index == original.image_index[GOOD]).all()


def test_json_has_the_numbers_and_the_others_are_written_too(run, tmp_path):
    good, junk = tmp_path / "good.star", tmp_path / "junk.star"
    result = invoke(
        "select", run, "-o", good, "--rejected", junk, "--max-junk", 0.3, "--iteration", 2, "--json"
    )
    (found,) = [json.loads(line) for line in result.stdout.splitlines()]
    groups = found.pop("groups")
    assert found == {
        "event": "selected", "particles": str(run / "run_it002_data.star"), "iteration": 2,
        "max_junk": 0.3, "kept": 6, "rejected": 6, "unassigned": 1, "output": str(good),
        "rejected_output": str(junk),
    }  # fmt: skip
    names = [*particles_of(good)["rlnImageName"], *particles_of(junk)["rlnImageName"]]
    assert len(set(names)) == 12
    assert sum(group["kept"] for group in groups) == 6
    assert len(groups) == 2


def test_the_numbers_of_each_optics_group_and_of_unused_particles_are_printed(run, tmp_path):
    text = invoke("select", run, "-o", tmp_path / "good.star", "--iteration", 2).stdout
    number = r"\d stay, \d leave"
    assert len(re.findall(f"^  .*: {number}$", text, re.MULTILINE)) == 2
    assert "1 of them were not used up to this iteration" in text


def test_without_rejected_particles_their_file_is_not_written(run, tmp_path):
    junk = tmp_path / "junk.star"
    result = invoke("select", run, "-o", tmp_path / "a.star", "--rejected", junk, "--max-junk", 1)
    assert result.exit_code == 0
    assert "is not written" in result.stdout
    assert not junk.exists()


def test_an_earlier_selection_is_replaced(run, tmp_path):
    good = tmp_path / "good.star"
    invoke("select", run, "-o", good, "--max-junk", 0.1)
    invoke("select", run, "-o", good)
    assert len(particles_of(good)) == len(GOOD)


@pytest.mark.parametrize("option", ["-o", "--rejected"])
@pytest.mark.parametrize("name", ["run/run_it002_data.star", "data/particles.star", "same.star"])
def test_files_that_are_read_and_files_of_the_run_are_not_overwritten(run, tmp_path, option, name):
    outputs = {"-o": tmp_path / "same.star", "--rejected": tmp_path / "same.star"}
    outputs[option] = tmp_path / name
    before = sorted(p.stat().st_mtime_ns for p in tmp_path.rglob("*.star"))
    result = invoke("select", run, *[word for pair in outputs.items() for word in pair])
    assert result.exit_code == 1
    assert "another file to write" in result.stderr or "give two files" in result.stderr
    assert sorted(p.stat().st_mtime_ns for p in tmp_path.rglob("*.star")) == before


def test_nothing_left_is_an_error_with_the_lowest_probability(run, tmp_path):
    path = run / "run_it004_data.star"
    table = starfile.read(path)
    table["particles"]["ini3dJunkProbability"] = 0.8
    starfile.write(table, path)
    result = invoke("select", run, "-o", tmp_path / "good.star")
    assert (result.exit_code, (tmp_path / "good.star").exists()) == (1, False)
    assert "the lowest is 0.800; give a higher --max-junk" in result.stderr


def test_a_folder_without_a_run_is_refused(tmp_path):
    result = invoke("select", tmp_path, "-o", tmp_path / "good.star")
    assert result.exit_code == 1
    assert "has no settings.json" in result.stderr


def test_a_run_without_written_particles_is_refused(run, tmp_path):
    for path in run.glob("run_it*_data.star"):
        path.unlink()
    result = invoke("select", run, "-o", tmp_path / "good.star")
    assert "has no run_itNNN_data.star yet" in result.stderr


def test_an_iteration_that_was_not_written_is_refused_with_a_list(run, tmp_path):
    result = invoke("select", run, "-o", tmp_path / "good.star", "--iteration", 3)
    assert "no particles of iteration 3; choose one of: 2, 4" in result.stderr


def test_particles_after_the_iteration_resumed_from_are_not_used(run, tmp_path):
    RunFolder.open(run).forget_after(2)
    result = invoke("select", run, "-o", tmp_path / "good.star")
    assert "Iteration 2:" in result.stdout


def test_a_run_of_an_earlier_version_is_refused(run, tmp_path):
    path = run / "run_it004_data.star"
    path.write_text(path.read_text().replace("ini3dJunkProbability", "ini3dOther"))
    result = invoke("select", run, "-o", tmp_path / "good.star")
    assert result.exit_code == 1
    assert "has no ini3dJunkProbability" in result.stderr


def test_a_run_in_its_random_starts_is_refused(star, tmp_path, monkeypatch):
    def starts(*args, **kwargs):
        return with_junk(*args, phase="starts", **kwargs)

    monkeypatch.setattr(run_module, "reconstruct", starts)
    make_run(tmp_path / "run", star)
    result = invoke("select", tmp_path / "run", "-o", tmp_path / "good.star")
    assert result.exit_code == 1
    assert "was comparing random starts at iteration 4" in result.stderr


def test_a_run_says_at_its_end_how_much_is_junk(star, tmp_path):
    events = [json.loads(line) for line in make_run(tmp_path / "a", star).stdout.splitlines()]
    assert events[-1]["junk"] == pytest.approx(JUNK.mean(), abs=1e-5)
    text = invoke(
        "run", star, "-o", tmp_path / "b", "--mask-diameter", 100, "--iterations", 4
    ).stdout
    sentence = "39 % of the images show no particle like that of the map; `ini3d select`"
    assert f"Junk:   {sentence}" in text
    assert sentence in (tmp_path / "a" / "log.txt").read_text()
