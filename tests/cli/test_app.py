"""Command line with a fake engine: output, exit codes, Ctrl-C."""

import dataclasses
import importlib.metadata
import json
import os
import re
import shlex
import signal
import subprocess
import sys
from typing import get_args

import mrcfile
import numpy as np
import pytest
import starfile
from fake_runs import FakeState, fake_reconstruct, make_volume
from matplotlib.image import imread
from typer.testing import CliRunner

from napari_ini3d import __version__
from napari_ini3d.cli import demo
from napari_ini3d.cli.app import app
from napari_ini3d.cli.options import settings_parameters
from napari_ini3d.comparison import compare_maps
from napari_ini3d.io.mrc.maps import read_map, write_map
from napari_ini3d.jobs import run as run_module
from napari_ini3d.runs.folder import RunFolder
from napari_ini3d.runs.requests import RunRequests
from napari_ini3d.settings import InitialModelSettings
from napari_ini3d.simulation import SimulationSettings, make_phantom, simulate_particles
from napari_ini3d.simulation.dataset import write_dataset

runner = CliRunner()


@pytest.fixture(autouse=True)
def engine(monkeypatch):
    monkeypatch.setattr(run_module, "reconstruct", fake_reconstruct)
    monkeypatch.setattr(run_module, "EngineState", FakeState)
    monkeypatch.setattr(run_module, "write_report", lambda folder, **_: folder.report_path.touch())
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("TERM", "dumb")


@pytest.fixture
def star(tmp_path):
    settings = SimulationSettings(number=12, box_size=32, pixel_size=4.0)
    phantom = make_phantom(diameter=80.0)
    return write_dataset(tmp_path / "data", simulate_particles(phantom, settings), phantom)


def invoke(*arguments):
    return runner.invoke(app, [str(argument) for argument in arguments])


def run(star, output, *more):
    return invoke("run", star, "-o", output, "--mask-diameter", 100, "--iterations", 4, *more)


def json_lines(result):
    return [json.loads(line) for line in result.stdout.splitlines()]


def plain(text):
    return " ".join(re.sub(r"\x1b\[[0-9;]*m|[│╭╮╰╯─]", "", text).split())


def interrupting(signals):
    """A fake engine that sends signals to its own process during the second iteration."""

    def reconstruct(*args, **kwargs):
        for report in fake_reconstruct(*args, **kwargs):
            if report.iteration == 2:
                for number in signals:
                    os.kill(os.getpid(), number)
            yield report

    return reconstruct


def test_a_run_prints_a_line_per_iteration_and_the_path_of_the_map(star, tmp_path):
    result = run(star, tmp_path / "run")
    assert result.exit_code == 0, result.output
    lines = [line for line in result.stdout.splitlines() if re.match(r"\s+\d/4 ", line)]
    assert [line.split()[0] for line in lines] == ["1/4", "2/4", "3/4", "4/4"]
    assert "33.8 Å" in lines[0]
    assert "initial_model.mrc" in result.stdout
    assert (tmp_path / "run" / "initial_model.mrc").is_file()


def test_json_is_one_object_per_iteration_and_one_at_the_end(star, tmp_path):
    result = run(star, tmp_path / "run", "--json")
    events = json_lines(result)
    assert [event["event"] for event in events] == ["iteration"] * 4 + ["closing", "finished"]
    assert events[0]["resolution"] == [33.75]
    assert events[-1]["map"] == str(tmp_path / "run" / "initial_model.mrc")


def test_quiet_prints_nothing(star, tmp_path):
    result = run(star, tmp_path / "run", "--quiet")
    assert (result.exit_code, result.output) == (0, "")


def test_the_options_reach_the_record_of_the_run(star, tmp_path):
    run(star, tmp_path / "run", "--no-flatten-solvent", "--angular-step", 7.5, "--seed", 5, "-q")
    settings = RunFolder.open(tmp_path / "run").read_record().settings
    assert settings == InitialModelSettings(
        mask_diameter=100.0,
        invert_contrast="no",  # as measured
        iterations=4,
        flatten_solvent=False,
        angular_step=7.5,
        seed=5,
    )


def test_every_setting_is_an_option_with_its_help():
    result = invoke("run", "--help")
    text = plain(result.output)
    for field in dataclasses.fields(InitialModelSettings):
        assert "--" + field.name.replace("_", "-") in text
        assert field.metadata["info"].help[:12] in text


def test_settings_with_choices_are_options_that_list_them_and_parse_numbers():
    made = {parameter.name: parameter for parameter in settings_parameters()}
    step, padding = (get_args(made[n].annotation) for n in ("angular_step", "padding_factor"))
    assert (step[0], step[1].metavar) == (float, "30|15|7.5|3.75")
    assert (padding[0], padding[1].metavar) == (int, "1|2")
    assert get_args(made["classes"].annotation)[1].metavar is None


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--no-such-option",), "No such option"),
        (("--classes", "0"), "--classes"),
        (("--iterations", "many"), "--iterations"),
        (("--angular-step", "10"), "choose one of 30, 15, 7.5, 3.75"),
        (("--padding-factor", "3"), "choose one of 1, 2"),
        (("--max-resolution", "90"), "coarser than initial_resolution"),
        (("--json", "--quiet"), "exclude each other"),
    ],
)
def test_wrong_usage_is_exit_code_2_and_starts_nothing(star, tmp_path, arguments, words):
    result = invoke("run", star, "-o", tmp_path / "run", *arguments)
    assert result.exit_code == 2
    assert words in plain(result.stderr)
    assert result.stdout == ""
    assert not (tmp_path / "run").exists()


def test_an_error_is_printed_once_on_the_error_stream_without_a_traceback(tmp_path):
    result = invoke("run", tmp_path / "none.star", "-o", tmp_path / "run", "--json")
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr.count("none.star") == 1
    assert "Traceback" not in result.stderr


def test_an_error_during_the_run_is_printed_once_even_when_quiet(star, tmp_path, monkeypatch):
    def broken(*args, **kwargs):
        yield from ()
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(run_module, "reconstruct", broken)
    result = run(star, tmp_path / "run", "--quiet")
    assert result.exit_code == 1
    assert result.stderr.count("Input/output error") == 1
    assert f"continue with: ini3d resume {tmp_path / 'run'}" in result.stderr


def test_with_json_an_error_is_one_object_on_the_error_stream(star, tmp_path, monkeypatch):
    def broken(*args, **kwargs):
        yield from ()
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(run_module, "reconstruct", broken)
    result = run(star, tmp_path / "run", "--json")
    assert (result.exit_code, result.stdout) == (1, "")
    (error,) = (json.loads(line) for line in result.stderr.splitlines() if line.startswith("{"))
    assert (error["event"], error["type"]) == ("error", "OSError")
    assert "Input/output error" in error["message"]
    assert f"ini3d resume {tmp_path / 'run'}" in error["notes"][0]


def test_the_recorded_command_is_without_options_that_only_print(star, tmp_path, monkeypatch):
    words = ["run", str(star), "-o", str(tmp_path / "a run"), "--iterations", "4"]
    monkeypatch.setattr(sys, "argv", ["/usr/bin/ini3d", *words, "--json", "--verbose"])
    assert invoke(*words, "--json", "--verbose").exit_code == 0
    command = RunFolder.open(tmp_path / "a run").read_record().command
    assert shlex.split(command) == ["ini3d", *words]


def test_a_run_stopped_by_a_request_in_its_folder_is_exit_code_130(star, tmp_path, monkeypatch):
    def asked(*args, **kwargs):
        for report in fake_reconstruct(*args, **kwargs):
            RunRequests(tmp_path / "run").stop()
            yield report

    monkeypatch.setattr(run_module, "reconstruct", asked)
    result = run(star, tmp_path / "run")
    assert result.exit_code == 130
    assert f"ini3d resume {tmp_path / 'run'}" in result.stderr
    assert RunFolder.open(tmp_path / "run").written_iterations() == [1]


def test_verbose_adds_the_traceback(tmp_path):
    result = invoke("run", tmp_path / "none.star", "-o", tmp_path / "run", "--verbose")
    assert result.exit_code == 1
    assert "Traceback" in result.stderr


def test_an_unexpected_error_is_exit_code_1_and_asks_for_the_traceback(star, tmp_path, monkeypatch):
    def broken(*args, **kwargs):
        yield from ()
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr(run_module, "reconstruct", broken)
    result = run(star, tmp_path / "run")
    assert result.exit_code == 1
    assert "ZeroDivisionError" in result.stderr
    assert "--verbose" in result.stderr
    assert RunFolder.open(tmp_path / "run").outcome() == "FAILURE"


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["SIGINT", "SIGTERM"]
)
def test_the_first_signal_stops_after_the_current_iteration(
    star, tmp_path, monkeypatch, number, code
):
    monkeypatch.setattr(run_module, "reconstruct", interrupting([number]))
    before = signal.getsignal(signal.SIGINT)
    result = run(star, tmp_path / "run")
    assert result.exit_code == code
    assert f"ini3d resume {tmp_path / 'run'}" in result.stderr
    folder = RunFolder.open(tmp_path / "run")
    assert (folder.outcome(), folder.written_iterations()) == ("ABORTED", [2])
    assert "Stopping after the current iteration" in result.stderr
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["SIGINT", "SIGTERM"]
)
def test_the_second_signal_stops_at_once_and_leaves_complete_files(
    star, tmp_path, monkeypatch, number, code
):
    monkeypatch.setattr(run_module, "reconstruct", interrupting([number, number]))
    result = run(star, tmp_path / "run")
    assert result.exit_code == code
    folder = RunFolder.open(tmp_path / "run")
    assert (folder.outcome(), folder.read_checkpoint()[0]) == ("ABORTED", 1)
    assert not [p for p in folder.path.iterdir() if ".tmp" in p.name]


def test_a_stopped_run_is_resumed_to_its_end(star, tmp_path, monkeypatch):
    monkeypatch.setattr(run_module, "reconstruct", interrupting([signal.SIGINT]))
    run(star, tmp_path / "run")
    monkeypatch.setattr(run_module, "reconstruct", fake_reconstruct)
    result = invoke("resume", tmp_path / "run", "--json")
    assert result.exit_code == 0, result.output
    events = [event for event in json_lines(result) if event["event"] != "closing"]
    assert [event.get("iteration") for event in events] == [3, 4, 4]


def test_a_folder_with_a_blank_is_quoted_in_the_suggested_command(star, tmp_path, monkeypatch):
    monkeypatch.setattr(run_module, "reconstruct", interrupting([signal.SIGINT, signal.SIGINT]))
    result = run(star, tmp_path / "my run")
    command = f"ini3d resume '{tmp_path / 'my run'}'"
    assert result.stderr.count(command) == 1
    assert command in run(star, tmp_path / "my run").stderr


def test_resuming_does_not_announce_a_new_run(star, tmp_path, monkeypatch):
    monkeypatch.setattr(run_module, "reconstruct", interrupting([signal.SIGINT]))
    run(star, tmp_path / "run")
    monkeypatch.setattr(run_module, "reconstruct", fake_reconstruct)
    first = invoke("resume", tmp_path / "run").stdout.splitlines()[0]
    assert first == f"Continuing the run in {tmp_path / 'run'}"


def test_the_check_of_a_missing_file_prints_only_the_problem(tmp_path):
    result = invoke("check", tmp_path / "none.star")
    assert result.exit_code == 3
    assert result.stdout.startswith("error:")
    assert result.stdout.count("\n") == 1


def test_resuming_a_folder_without_a_run_is_exit_code_1(tmp_path):
    result = invoke("resume", tmp_path)
    assert result.exit_code == 1
    assert "has no settings.json" in result.stderr


def test_a_check_without_problems_is_exit_code_0(star):
    result = invoke("check", star, "--json")
    (found,) = json_lines(result)
    assert (result.exit_code, found["ok"], found["n_particles"]) == (0, True, 12)
    assert found["estimated_seconds"] > 0


def test_a_check_refuses_the_point_group_that_a_run_refuses(star):
    result = invoke("check", star, "--symmetry", "X9")
    assert result.exit_code == 1
    assert "unknown point group 'X9'" in result.output


def test_a_check_with_problems_is_exit_code_3(star):
    with mrcfile.open(star.with_name("particles.mrcs"), "r+") as file:
        file.data[:6] = np.nan
    result = invoke("check", star)
    assert result.exit_code == 3
    assert "6 of 12" in plain(result.stdout)
    assert "increase --max-excluded" in plain(result.stdout)
    (found,) = json_lines(invoke("check", star, "--json"))
    assert found["bad_images"][0] == {"index": 0, "reason": "not finite"}


def test_simulated_particles_can_be_run(tmp_path):
    result = invoke(
        "simulate", "-o", tmp_path / "sim", "--symmetry", "C2", "--number", 10,
        "--box-size", 32, "--pixel-size", 4, "--diameter", 80, "--groups", 2, "--json",
    )  # fmt: skip
    (found,) = json_lines(result)
    assert (tmp_path / "sim" / "truth.mrc").is_file()
    assert run(found["particles"], tmp_path / "run", "--quiet").exit_code == 0


def test_a_map_with_the_faults_of_real_particles_is_simulated(tmp_path):
    invoke("simulate", "-o", tmp_path / "one", "--number", 2, "--box-size", 32, "--pixel-size", 5,
           "--diameter", 80)  # fmt: skip
    truth = tmp_path / "one" / "truth.mrc"
    result = invoke(
        "simulate", "-o", tmp_path / "sim", "--map", truth, "--other", truth, "--number", 30,
        "--junk", 0.5, "--junk-kinds", "bright", "--neighbours", 0.3, "--preferred", 0.8,
        "--views", "two", "--view-share", 0.65, "--view-spread", 12, "--micelle", "--scale", 0.2,
        "--pink-noise", 0.5, "--bfactor", 150, "--defocus-error", 0.03, "--hot-pixels", 0.2,
        "--invert", "--offset", 10, "--snr-diameter", 100,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert "30 particles of a map" in plain(result.stdout)
    stack = mrcfile.read(tmp_path / "sim" / "particles.mrcs")
    assert stack.shape == (30, 32, 32)
    assert stack.min() == -500
    table = starfile.read(tmp_path / "sim" / "truth.star")["particles"]
    assert set(table["ini3dJunkKind"]) == {"none", "bright"}
    assert set(table["rlnClassNumber"]) == {0, 1, 2}
    assert (mrcfile.read(tmp_path / "sim" / "truth.mrc") >= mrcfile.read(truth)).all()


def test_simulating_an_unknown_point_group_is_exit_code_1(tmp_path):
    result = invoke("simulate", "-o", tmp_path / "sim", "--symmetry", "Q3")
    assert result.exit_code == 1
    assert "Q3" in result.stderr
    assert not (tmp_path / "sim").exists()


def test_the_version_is_printed_and_is_that_of_the_installed_distribution():
    result = invoke("--version")
    assert (result.exit_code, result.stdout) == (0, f"{__version__}\n")
    assert __version__ == importlib.metadata.version("napari-ini3d")


@pytest.mark.parametrize("option", ["--version", "--help"])
def test_version_and_help_load_no_heavy_package(option):
    code = (
        f"import sys\nsys.argv = ['ini3d', {option!r}]\nfrom napari_ini3d.cli import main\n"
        "try: main()\nexcept SystemExit: pass\n"
        "heavy = {'numpy', 'scipy', 'numba', 'pandas', 'matplotlib'} & set(sys.modules)\n"
        "sys.stderr.write(','.join(sorted(heavy)))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.stderr == ""
    assert result.stdout


def test_a_run_loads_what_its_start_does_not_need_only_later(star, tmp_path):
    """Matplotlib for the report page, parts of SciPy for maps that are compared."""
    late = [
        "matplotlib",
        "PIL",
        "scipy.spatial",
        "scipy.ndimage",
        "scipy.optimize",
        "napari_ini3d.symmetry.detect",
        "napari_ini3d.report.page",
    ]
    code = (
        "import sys\n"
        f"sys.argv = ['ini3d', 'run', {str(star)!r}, '--iterations', '2', "
        f"'-o', {str(tmp_path / 'run')!r}, '--quiet', '--mask-diameter', '100']\n"
        "from napari_ini3d.cli import main\n"
        "from napari_ini3d.engine import initial_model\n"
        "def begin(*_):\n"
        f"    sys.stderr.write('first iteration: ' + ','.join(set({late!r}) & set(sys.modules)))\n"
        "    raise SystemExit\n"
        "initial_model.plan_iteration = begin\n"
        "main()"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.stderr == "first iteration: "


@pytest.fixture
def maps(tmp_path):
    first, second = tmp_path / "a.mrc", tmp_path / "b.mrc"
    write_map(first, make_volume(seed=1), 4.0)
    write_map(second, make_volume(seed=2), 4.0)
    return first, second


def test_maps_are_compared_in_numbers_and_as_a_picture(maps, tmp_path):
    result = invoke("compare", *maps, "--no-align", "--json", "-o", tmp_path / "fsc.png")
    (found,) = json_lines(result)
    expected = np.corrcoef(*(read_map(path).data[8:24, 8:24, 8:24].ravel() for path in maps))
    assert found["correlation"] == pytest.approx(expected[0, 1], abs=0.02)
    assert len(found["fsc"]) == len(found["frequency"]) == 17
    assert found["frequency"][-1] == pytest.approx(1 / 8)
    assert imread(tmp_path / "fsc.png").ndim == 3


def test_a_comparison_is_printed_in_words(maps):
    result = invoke("compare", *maps, "--no-align", "--mask-diameter", 100)
    assert "FSC 0.5 at" in result.stdout
    assert "mirrored" not in result.stdout


def test_maps_of_another_voxel_size_are_refused_with_both_sizes(maps):
    write_map(maps[1], make_volume(seed=2), 3.0)
    result = invoke("compare", *maps)
    assert result.exit_code == 1
    assert "32 voxels of 4 Å" in result.stderr
    assert "32 voxels of 3 Å" in result.stderr


def test_the_demo_makes_a_map_and_compares_it_with_the_truth(tmp_path, monkeypatch):
    few = SimulationSettings(number=12, box_size=32, pixel_size=4.0)
    monkeypatch.setattr(demo, "_PARTICLES", few)
    monkeypatch.setattr(demo, "_DIAMETER", 80.0)
    result = invoke("demo", "-o", tmp_path / "demo", "--threads", 1, "--json")
    assert result.exit_code == 0, result.output
    *_, finished, compared = json_lines(result)
    assert (finished["event"], compared["event"]) == ("finished", "compared")
    truth = read_map(tmp_path / "demo" / "truth.mrc")
    assert truth.data.shape == (32, 32, 32)
    folder = RunFolder.open(tmp_path / "demo" / "run")
    mask_diameter = folder.read_record().settings.mask_diameter
    model = read_map(folder.map_path).data
    again = compare_maps(truth.data, model, voxel_size=4.0, mask_diameter=mask_diameter)
    assert compared["correlation"] == pytest.approx(again.correlation, abs=1e-4)
    assert (tmp_path / "demo" / "fsc.png").is_file()


def test_the_demo_does_not_overwrite_another(tmp_path, monkeypatch):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "settings.json").touch()  # of any program
    result = invoke("demo", "-o", tmp_path)
    assert result.exit_code == 1
    assert "is not empty" in result.stderr
    assert not (tmp_path / "truth.mrc").exists()


def test_the_report_of_a_run_is_written_again(star, tmp_path):
    run(star, tmp_path / "run")
    path = tmp_path / "run" / "report.html"
    path.unlink()
    result = invoke("report", tmp_path / "run")
    assert result.exit_code == 0, result.output
    assert "Status: finished." in path.read_text()


def test_a_run_is_replaced_with_overwrite_only(star, tmp_path):
    run(star, tmp_path / "run")
    (tmp_path / "run" / "notes.txt").write_text("mine")
    refused = run(star, tmp_path / "run")
    assert refused.exit_code == 1
    assert "delete the files of that run with --overwrite" in refused.stderr
    assert run(star, tmp_path / "run", "--overwrite").exit_code == 0
    assert (tmp_path / "run" / "notes.txt").read_text() == "mine"


CODE = "from napari_ini3d.cli import main; main()"


def test_output_that_nobody_reads_ends_a_command_quietly(star):
    process = subprocess.Popen(
        [sys.executable, "-c", CODE, "check", str(star), "--json"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    process.stdout.close()
    assert process.stderr.read() == b""
    process.wait()


def test_a_terminal_without_angstrom_gets_another_sign(star):
    environment = os.environ | {"PYTHONIOENCODING": "ascii"}
    command = [sys.executable, "-c", CODE, "check", str(star)]
    done = subprocess.run(command, capture_output=True, env=environment)
    assert done.returncode == 0, done.stderr
    assert b"?" in done.stdout
