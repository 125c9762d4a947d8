"""Commands and scripts of a run, parsed or executed, have the settings they were made from."""

import shlex

import pytest
import typer.testing

import napari_ini3d
from napari_ini3d.cli.app import app
from napari_ini3d.runs.commands import run_command, run_python
from napari_ini3d.settings import InitialModelSettings

UNUSUAL = InitialModelSettings(
    mask_diameter=123.45,
    classes=3,
    ctf=False,
    anneal_classes=False,
    preread=True,
    angular_step=7.5,
    symmetry="D2",
    scratch="/a folder/with spaces",
    max_resolution=9.0,
)


@pytest.mark.parametrize("settings", [InitialModelSettings(), UNUSUAL])
def test_the_command_starts_the_same_run(settings, monkeypatch):
    called = []
    monkeypatch.setattr("napari_ini3d.cli.run.run_job", lambda *args, **_: called.append(args))
    words = shlex.split(run_command("/a b/particles.star", "out put", settings))
    assert words[0] == "ini3d"
    result = typer.testing.CliRunner().invoke(app, words[1:])
    assert result.exit_code == 0, result.output
    particles, output, parsed, *_ = called[0]
    assert (str(particles.path), str(output)) == ("/a b/particles.star", "out put")
    assert parsed == settings


@pytest.mark.parametrize("settings", [InitialModelSettings(), UNUSUAL])
def test_the_script_starts_the_same_run(settings, monkeypatch):
    called = []
    monkeypatch.setattr(
        napari_ini3d, "start_run", lambda *args: called.append(args) or [], raising=False
    )
    exec(run_python("/a b/parti'cles.star", "out", settings), {})
    particles, output, parsed = called[0]
    assert (str(particles), str(output), parsed) == ("/a b/parti'cles.star", "out", settings)


def test_default_settings_are_omitted():
    assert run_command("a.star", "out", InitialModelSettings()) == ("ini3d run a.star --output out")


def test_the_command_and_the_script_of_a_run_on_a_cluster_name_it(monkeypatch):
    called = []
    monkeypatch.setattr("napari_ini3d.cli.run.run_job", lambda *args: called.append(args))
    words = shlex.split(run_command("a.star", "out", UNUSUAL, "slurm:my jobs.yaml"))
    result = typer.testing.CliRunner().invoke(app, words[1:])
    assert result.exit_code == 0, result.output
    assert called[0][-1] == "slurm:my jobs.yaml"
    monkeypatch.setattr(
        napari_ini3d, "start_run", lambda *_, **kw: called.append(kw) or [], raising=False
    )
    exec(run_python("a.star", "out", UNUSUAL, "local:4"), {})
    assert called[1] == {"cluster": "local:4"}
