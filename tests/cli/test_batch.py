"""`ini3d batch` with a fake engine: output, exit codes, Ctrl-C."""

import json
import os
import re
import signal

import pytest
from fake_runs import fake_reconstruct, use_fake_engine
from typer.testing import CliRunner

from napari_ini3d.cli.app import app
from napari_ini3d.jobs import run as run_module
from napari_ini3d.simulation import (
    SimulationSettings,
    make_phantom,
    simulate_particles,
    write_dataset,
)

runner = CliRunner()


@pytest.fixture(autouse=True)
def engine(monkeypatch):
    use_fake_engine(monkeypatch)
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setenv("TERM", "dumb")


@pytest.fixture(scope="module")
def star(tmp_path_factory):
    settings = SimulationSettings(number=12, box_size=32, pixel_size=4.0)
    phantom = make_phantom(diameter=80.0)
    folder = tmp_path_factory.mktemp("particles")
    return write_dataset(folder, simulate_particles(phantom, settings), phantom)


@pytest.fixture
def batch(star, tmp_path):
    """A function that runs a file of the jobs `a` and `b`, and others."""

    def run(*options, more=()):
        values = f"particles: {star}, mask_diameter: 100, iterations: 3, threads: 1"
        values += ", independent_half_sets: false"
        lines = [f"- {{output: {name}}}\n" for name in "ab"]
        (tmp_path / "jobs.yaml").write_text(
            f"defaults: {{{values}}}\njobs:\n{''.join([*lines, *more])}"
        )
        return runner.invoke(app, ["batch", str(tmp_path / "jobs.yaml"), *options])

    return run


MISSING = ["- {output: c, particles: absent.star}\n"]


def table(result):
    """The words of the rows of the table."""
    rows = result.stdout.partition("verdict")[2].splitlines()
    return [row.split() for row in rows if re.match("[abc] ", row)]


def test_a_batch_ends_with_a_table_and_the_path_of_its_page(batch, tmp_path):
    result = batch()
    assert result.exit_code == 0, result.output
    assert [row[:4] for row in table(result)] == [[job, "finished", "12", "1"] for job in "ab"]
    assert all("≈ 15.0 Å" in " ".join(row) for row in table(result))
    assert f"Results: {tmp_path / 'jobs.html'}" in result.stdout.replace("\n", "")
    assert (tmp_path / "jobs.html").exists()


def test_a_check_runs_nothing(batch, tmp_path):
    result = batch("--check")
    assert result.exit_code == 0
    said = [line.strip() for line in result.stdout.splitlines()]
    assert [line for line in said if "warning" not in line] == [
        "Checking 2 jobs",
        "a: can start",
        "b: can start",
    ]
    assert sum("warning: 12 particles, too few" in line for line in said) == 2
    assert not (tmp_path / "a").exists()
    assert not (tmp_path / "jobs.html").exists()


def test_with_a_job_that_cannot_run_none_is_started_unless_it_is_to_keep_going(batch, tmp_path):
    result = batch(more=MISSING)
    assert result.exit_code == 3
    assert "error: c: " in result.stderr
    assert not (tmp_path / "a").exists()
    result = batch("--keep-going", more=MISSING)
    assert result.exit_code == 1
    assert [row[1] for row in table(result)] == ["finished", "finished", "failed"]


def test_json_has_the_checks_the_iterations_and_the_results_of_each_job(batch):
    result = batch("--json")
    events = [json.loads(line) for line in result.stdout.splitlines()]
    names = [each["event"] for each in events if each["event"] != "closing"]
    assert names == [
        *["checked"] * 2,
        *[name for _ in "ab" for name in ("job", *["iteration"] * 3, "job_ended")],
        "batch",
    ]
    ended = [each for each in events if each["event"] == "job_ended"]
    assert [(each["job"], each["state"], each["particles"]) for each in ended] == [
        ("a", "finished", 12),
        ("b", "finished", 12),
    ]
    assert ended[0]["criterion"] == "last iteration"
    assert ended[0]["resolution"] == pytest.approx(15.0)
    assert events[-1]["states"] == {"a": "finished", "b": "finished"}


def test_a_file_that_is_wrong_is_an_error(batch):
    result = batch(more=["- {output: c, sede: 3}\n"])
    assert result.exit_code == 1
    assert "did you mean seed?" in result.stderr


def test_ctrl_c_ends_a_batch_after_the_iteration_and_again_it_continues(batch, monkeypatch):
    def interrupted(*args, **kwargs):
        for report in fake_reconstruct(*args, **kwargs):
            if report.iteration == 2:
                os.kill(os.getpid(), signal.SIGINT)
            yield report

    with monkeypatch.context() as patch:
        patch.setattr(run_module, "reconstruct", interrupted)
        result = batch()
    assert result.exit_code == 130
    assert [row[1] for row in table(result)] == ["stopped", "waiting"]
    assert "Continue with: ini3d" in result.stderr
    result = batch()
    assert result.exit_code == 0
    assert [row[1] for row in table(result)] == ["finished", "finished"]


def test_a_cluster_that_is_none_is_found_before_anything_is_checked(batch):
    result = batch("--cluster", "local:many")
    assert result.exit_code == 1
    assert "give the number of processes" in result.stderr
    assert "can start" not in result.stdout


def test_a_page_of_others_is_not_replaced(batch, tmp_path):
    (tmp_path / "jobs.html").write_text("<p>mine</p>")
    result = batch()
    assert result.exit_code == 1
    assert "is no page of a batch; give another file" in result.stderr
    assert "can start" not in result.stdout
    assert batch("--page", str(tmp_path / "other.html"), "--quiet").exit_code == 0
    assert (tmp_path / "other.html").exists()
