"""`ini3d check`, and the checks of `ini3d run`: the same findings, levels and exit codes."""

import json
import re

import pytest
from typer.testing import CliRunner

from napari_ini3d.cli.app import app
from napari_ini3d.simulation import SimulationSettings, make_phantom, simulate_particles
from napari_ini3d.simulation.dataset import write_dataset

runner = CliRunner()


@pytest.fixture(autouse=True)
def terminal(monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("TERM", "dumb")


@pytest.fixture
def star(tmp_path):
    settings = SimulationSettings(number=12, box_size=32, pixel_size=4.0)
    phantom = make_phantom(diameter=80.0)
    return write_dataset(tmp_path / "data", simulate_particles(phantom, settings), phantom)


def invoke(*arguments):
    return runner.invoke(app, [str(argument) for argument in arguments])


def json_lines(result):
    return [json.loads(line) for line in result.stdout.splitlines()]


def plain(text):
    return " ".join(re.sub(r"\x1b\[[0-9;]*m|[│╭╮╰╯─]", "", text).split())


def test_findings_are_in_the_json_and_strict_turns_warnings_into_errors(star):
    (found,) = json_lines(invoke("check", star, "--json"))
    (few,) = [one for one in found["findings"] if one["code"] == "few-particles"]
    assert (few["level"], few["count"], few["rows"]) == ("warning", 12, [])
    assert few["advice"]
    strict = invoke("check", star, "--json", "--strict")
    assert strict.exit_code == 3
    levels = {one["code"]: one["level"] for one in json_lines(strict)[0]["findings"]}
    assert levels["few-particles"] == "error"


def test_a_strict_run_does_not_start_with_a_warning(star, tmp_path):
    result = invoke("run", star, "-o", tmp_path / "run", "--strict")
    assert result.exit_code == 1
    assert "too few for a model" in plain(result.stderr)
    assert not (tmp_path / "run").exists()


def test_a_check_takes_the_options_of_the_run(star):
    star.write_text(star.read_text().replace("_rlnDefocusU", "_other"))
    assert "rlnDefocusU" in plain(invoke("check", star).stdout)
    assert invoke("check", star, "--no-ctf").exit_code == 0
    large = invoke("check", star, "--no-ctf", "--mask-diameter", 5000)
    assert large.exit_code == 3
    assert "[mask-diameter]" in large.stdout
