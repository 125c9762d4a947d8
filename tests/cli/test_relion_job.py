"""`ini3d relion-job` with a fake engine, and in a project of the real RELION."""

import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
import starfile
from fake_runs import FakeState, fake_reconstruct
from typer.testing import CliRunner

from napari_ini3d.cli.app import app
from napari_ini3d.cli.relion_arguments import parse_arguments
from napari_ini3d.cli.relion_job import job_star
from napari_ini3d.errors import SettingsError
from napari_ini3d.jobs import run as run_module
from napari_ini3d.runs.folder import RunFolder
from napari_ini3d.simulation import SimulationSettings, make_phantom, simulate_particles
from napari_ini3d.simulation.dataset import write_dataset

PARTICLES = "Select/job011/particles.star"
JOB = "External/job012/"
OPTIONS = "--mask_diameter 100 --iterations 4 --starts 1 --j 1"

needs_relion = pytest.mark.skipif(
    shutil.which("relion_pipeliner") is None, reason="RELION is not installed"
)


@pytest.fixture(scope="session")
def particles(tmp_path_factory):
    folder = tmp_path_factory.mktemp("particles")
    settings = SimulationSettings(number=12, box_size=32, pixel_size=4.0)
    phantom = make_phantom("C2", diameter=80.0)
    write_dataset(folder, simulate_particles(phantom, settings), phantom)
    return folder


@pytest.fixture
def project(tmp_path, particles, monkeypatch):
    shutil.copytree(particles, tmp_path / "Select/job011")
    (tmp_path / JOB).mkdir(parents=True)
    (tmp_path / JOB / "job.star").write_text(job_star("job.star"))
    (tmp_path / JOB / "run.out").touch()
    (tmp_path / "default_pipeline.star").write_text(
        "\n# version 30001\n\ndata_pipeline_general\n\n_rlnPipeLineJobCounter 12\n\n"
    )
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def engine(monkeypatch):
    monkeypatch.setattr(run_module, "reconstruct", fake_reconstruct)
    monkeypatch.setattr(run_module, "EngineState", FakeState)
    monkeypatch.setattr(run_module, "write_report", lambda folder, **_: folder.report_path.touch())
    monkeypatch.setattr("napari_ini3d.report.write_pdf", lambda _, path, **__: path.touch())


def relion_job(words):
    return CliRunner().invoke(app, ["relion-job", *words.split()])


def outcome(project):
    return RunFolder(project / JOB).outcome()


def test_a_job_ends_with_its_files_nodes_and_mark(project):
    result = relion_job(f"--o {JOB} --in_parts {PARTICLES} {OPTIONS} --pipeline_control {JOB}")
    assert result.exit_code == 0, result.output
    assert outcome(project) == "SUCCESS"
    nodes = starfile.read(project / JOB / "RELION_OUTPUT_NODES.star")
    names = list(nodes["rlnPipeLineNodeName"])
    ends = ["initial_model.mrc", "run_it004_data.star", "logfile.pdf"]
    assert names == [f"{JOB}{end}" for end in ends]
    assert all((project / name).is_file() for name in names)
    images = starfile.read(project / names[1])["particles"]["rlnImageName"]
    assert all((project / image.split("@")[1]).is_file() for image in images)
    assert f"Map: {names[0]}" in result.stdout
    assert "4/4" in result.stdout


def test_the_mark_is_the_last_file(project, engine, monkeypatch):
    """RELION reads the nodes as soon as it sees the mark."""
    seen = {}
    mark = RunFolder.mark

    def look(folder, how):
        seen[how] = {path.name for path in folder.path.iterdir()}
        mark(folder, how)

    monkeypatch.setattr(RunFolder, "mark", look)
    relion_job(f"--o {JOB} --in_parts {PARTICLES} {OPTIONS} --no_independent_half_sets")
    expected = {"RELION_OUTPUT_NODES.star", "logfile.pdf", "initial_model.mrc"}
    assert expected <= seen["SUCCESS"]


def test_with_a_group_the_result_has_the_symmetry(project):
    options = f"{OPTIONS} --sym C2 --independent_half_sets No"
    result = relion_job(f"--o {JOB} --in_parts {PARTICLES} {options}")
    assert result.exit_code == 0, result.output
    from napari_ini3d.io import read_map

    data = read_map(project / JOB / "initial_model.mrc").data
    turned = np.roll(data[:, ::-1, ::-1], (1, 1), axis=(1, 2))  # by 180 degrees about z
    inside = slice(1, None)
    np.testing.assert_allclose(data[:, inside, inside], turned[:, inside, inside], atol=1e-4)
    assert (project / JOB / "initial_model_c1.mrc").is_file()
    nodes = starfile.read(project / JOB / "RELION_OUTPUT_NODES.star")
    assert f"{JOB}particles_aligned.star" in list(nodes["rlnPipeLineNodeName"])


def test_an_abort_leaves_what_there_is_and_continuing_finishes_it(project, engine, monkeypatch):
    request = project / JOB / "RELION_JOB_ABORT_NOW"

    def until_aborted(*args, stop, **kwargs):
        for report in fake_reconstruct(*args, stop=stop, **kwargs):
            yield report
            if report.iteration == 2:
                request.touch()

    words = f"--o {JOB} --in_parts {PARTICLES} {OPTIONS} --no_independent_half_sets"
    with monkeypatch.context() as patch:
        patch.setattr(run_module, "reconstruct", until_aborted)
        stopped = relion_job(words)
    assert stopped.exit_code == 130
    assert outcome(project) == "ABORTED"
    assert not request.exists()
    nodes = starfile.read(project / JOB / "RELION_OUTPUT_NODES.star")
    written = list(nodes["rlnPipeLineNodeName"])
    assert written[0].endswith("_class001.mrc")
    assert all((project / name).is_file() for name in written)
    finished = relion_job(words)
    assert finished.exit_code == 0, finished.output
    assert "Continuing the run in this folder" in finished.stdout
    assert outcome(project) == "SUCCESS"


def test_an_unfinished_run_with_other_settings_starts_again(project, engine):
    words = f"--o {JOB} --in_parts {PARTICLES} {OPTIONS} --no_independent_half_sets"
    assert relion_job(words).exit_code == 0
    RunFolder(project / JOB).mark("FAILURE")
    again = relion_job(words.replace("100", "90"))
    assert again.exit_code == 0, again.output
    assert "Continuing" not in again.stdout
    assert RunFolder(project / JOB).read_record().settings.mask_diameter == 90


def test_an_unfinished_run_of_particles_that_have_changed_starts_again(project, engine):
    words = f"--o {JOB} --in_parts {PARTICLES} {OPTIONS} --no_independent_half_sets"
    assert relion_job(words).exit_code == 0
    RunFolder(project / JOB).mark("ABORTED")
    (project / PARTICLES).write_text((project / PARTICLES).read_text() + "\n")
    again = relion_job(words)
    assert again.exit_code == 0, again.output
    assert "cannot be continued" in again.stdout
    assert outcome(project) == "SUCCESS"


def test_without_a_folder_the_job_is_refused(project):
    result = relion_job(f"--in_parts {PARTICLES} --o --j 2")
    assert result.exit_code == 1
    assert "no --o" in result.stderr


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ("--in_parts none.star", "cannot be read"),
        ("", "no --in_parts"),
        (f"--in_parts {PARTICLES} --mask_diamter 100", "did you mean mask_diameter"),
        (f"--in_parts {PARTICLES} 100", "'100' without a name"),
    ],
)
def test_a_job_that_cannot_start_is_marked_as_failed(project, words, reason):
    result = relion_job(f"--o {JOB} {words}")
    assert result.exit_code == 1
    assert reason in " ".join(result.stderr.split())
    assert outcome(project) == "FAILURE"


def parse(words):
    return parse_arguments(["--in_parts", "p.star", *words.split()])


def test_settings_have_their_own_names_or_those_of_relion():
    for words in ("--mask_diameter 200", "--mask-diameter=200", "--particle_diameter 200"):
        assert parse(words).settings.mask_diameter == 200
    settings = parse("--K 3 --sym D2 --iter 50 --j 8 --seed 5").settings
    assert (settings.classes, settings.symmetry, settings.iterations) == (3, "D2", 50)
    assert (settings.threads, settings.seed) == (8, 5)


def test_classes_of_a_2d_classification_are_chosen_by_a_label():
    assert parse("--classes_2d 1,4-6 --j 2").files.classes_2d == (1, 4, 5, 6)
    assert parse("--classes-2d=3").files.classes_2d == (3,)
    assert parse("--classes_2d --j 2").files.classes_2d == ()


def test_labels_without_a_value_switch_on_or_leave_a_setting_automatic():
    assert parse("--preread --j 2").settings.preread
    assert not parse("--no_ctf --j 2").settings.ctf
    assert not parse("--ctf No").settings.ctf
    assert parse("--mask_diameter --j 2").settings.mask_diameter is None


def test_arguments_of_relion_are_accepted_and_other_inputs_are_named():
    found = parse("--pipeline_control External/job012/ --in_3dref ref.mrc --in_mask mask.mrc")
    assert found.unused == ("in_3dref", "in_mask")


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ("--classes", "has no value"),
        ("--classes two", "expected a whole number"),
        ("--mask_diameter wide", "expected a number"),
        ("--ctf perhaps", "expected Yes or No"),
        ("--classes 2 3", "'3' without a name"),
        ("--classes 0", "at least 1|between 1"),
        ("--nothing 1", "no setting has the name 'nothing'"),
    ],
)
def test_impossible_arguments_are_refused_with_the_reason(words, reason):
    with pytest.raises(SettingsError, match=reason):
        parse(words)


@pytest.mark.parametrize("name", ["job.star", "scheme_job.star"])
def test_the_printed_job_has_the_options_of_relion_and_settings_of_ini3d(name):
    option = "--print-job-star" if name == "job.star" else "--print-scheme-job-star"
    text = relion_job(option).stdout
    assert text == job_star(name)
    rows = [line.split(maxsplit=1) for line in text.splitlines() if line and line[0] in "fipno"]
    values = {label: value.strip('"') for label, value in rows}
    assert values["fn_exe"] == "ini3d relion-job"
    labels = [values[f"param{i}_label"] for i in range(1, 11) if values[f"param{i}_label"]]
    words = " ".join(f"--{label} {values[f'param{i}_value']}" for i, label in enumerate(labels, 1))
    assert parse(words).settings.classes == 1
    in_scheme = "Schemes/proc/select_parts/particles.star"
    assert values["in_part"] == (in_scheme if name == "scheme_job.star" else "")


@pytest.mark.parametrize(
    ("folder", "expected"), [("bin", "{}/ini3d relion-job"), ("my programs", "ini3d relion-job")]
)
def test_a_printed_job_calls_this_program_by_its_path(tmp_path, monkeypatch, folder, expected):
    program = tmp_path / folder / "ini3d"
    program.parent.mkdir()
    program.touch()
    monkeypatch.setattr(sys, "argv", [str(program), "relion-job"])
    assert f'fn_exe "{expected.format(program.parent)}"' in job_star("job.star")


def test_a_job_that_is_stopped_before_its_run_begins_is_aborted(project, monkeypatch):
    monkeypatch.setattr("napari_ini3d.runs.RunRequests.stop_requested", True)
    result = relion_job(f"--o {JOB} --in_parts {PARTICLES} {OPTIONS}")
    assert result.exit_code == 130
    assert outcome(project) == "ABORTED"
    assert not (project / JOB / "settings.json").exists()


def pipeliner(project, *arguments):
    program = project / "bin" / "ini3d"
    if not program.exists():
        program.parent.mkdir()
        program.write_text(
            f'#!/bin/sh\nexec {sys.executable} -c "from napari_ini3d.cli import main; main()" "$@"'
        )
        program.chmod(0o755)
    path = os.pathsep.join([str(program.parent), os.environ["PATH"]])
    done = subprocess.run(
        ["relion_pipeliner", *arguments],
        cwd=project,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return starfile.read(project / "default_pipeline.star", always_dict=True)


@pytest.mark.relion
@needs_relion
def test_relion_runs_the_job_and_has_its_nodes_in_the_pipeline(project):
    shutil.rmtree(project / "External")
    text = job_star("job.star").replace('in_part ""', f"in_part {PARTICLES}")
    text = text.replace("param4_value 200", "param4_value 4").replace(
        "nr_threads 8", "nr_threads 1"
    )
    (project / "my_job.star").write_text(text)
    pipeliner(project, "--addJobFromStar", "my_job.star")
    found = pipeliner(project, "--RunJobs", JOB, "--sec_wait_after", "1")
    assert found["pipeline_processes"]["rlnPipeLineProcessStatus"].tolist() == [2]  # finished
    nodes = dict(found["pipeline_nodes"].itertuples(index=False))
    assert nodes[f"{JOB}initial_model.mrc"] == 6
    assert nodes[f"{JOB}run_it004_data.star"] == 3
    assert nodes[f"{JOB}logfile.pdf"] == 13
    assert "error" not in (project / JOB / "run.err").read_text().lower()
