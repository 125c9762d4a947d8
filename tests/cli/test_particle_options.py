"""Options of `ini3d run` and `check` for particles: 2D classes, and class averages."""

import json

import mrcfile
import numpy as np
import pytest
import starfile
from fake_runs import use_fake_engine
from typer.testing import CliRunner

from napari_ini3d.cli.app import app
from napari_ini3d.errors import SettingsError
from napari_ini3d.io import ParticleFiles, parse_classes
from napari_ini3d.preflight import preview_particles
from napari_ini3d.runs.folder import RunFolder
from napari_ini3d.runs.source_particles import read_source_particles
from napari_ini3d.settings import InitialModelSettings
from napari_ini3d.simulation import (
    SimulationSettings,
    make_phantom,
    simulate_particles,
    write_dataset,
)

NUMBER = 24
CLASSES = np.arange(NUMBER) % 4 + 1


def invoke(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def check(*arguments):
    result = invoke("check", *arguments, "--json")
    return result.exit_code, json.loads(result.stdout.splitlines()[-1])


@pytest.fixture
def data(tmp_path):
    """Particles of a 2D classification, and a stack of their averages, one of them empty."""
    phantom = make_phantom("C1", diameter=80.0)
    settings = SimulationSettings(number=NUMBER, box_size=32, pixel_size=4.0, snr=1.0)
    path = write_dataset(tmp_path / "data", simulate_particles(phantom, settings), phantom)
    tables = starfile.read(path)
    tables["particles"]["rlnClassNumber"] = CLASSES
    starfile.write(tables, path, overwrite=True)
    with mrcfile.open(next(path.parent.glob("*.mrcs"))) as stack:
        averages = np.concatenate([stack.data[:11], np.zeros_like(stack.data[:1])])
    with mrcfile.new(path.with_name("run_it025_classes.mrcs")) as file:
        file.set_data(averages)
        file.set_image_stack()
        file.voxel_size = 4.0
    return path


def test_a_run_uses_the_particles_of_the_chosen_classes_and_can_be_resumed(data, monkeypatch):
    use_fake_engine(monkeypatch)
    run = data.parent / "run"
    options = ("--mask-diameter", 100, "--iterations", 2, "--no-independent-half-sets", "--quiet")
    done = invoke("run", data, "-o", run, "--classes-2d", "1,3-4", *options)
    assert done.exit_code == 0, done.output
    record = RunFolder(run).read_record()
    assert record.classes_2d == (1, 3, 4)
    assert record.n_particles == 18
    images = starfile.read(run / "run_it002_data.star")["particles"]["rlnImageName"]
    expected = starfile.read(data)["particles"]["rlnImageName"][CLASSES != 2]
    assert [name.split("@")[0] for name in images] == [name.split("@")[0] for name in expected]
    particles, _ = read_source_particles(record)  # as when the run is resumed
    assert len(particles) == 18


def test_a_check_counts_the_particles_of_the_chosen_classes(data):
    assert check(data, "--classes-2d", "2")[1]["n_particles"] == 6
    code, found = check(data, "--classes-2d", "2,9")
    assert code == 3
    assert "no particles in class 9" in found["findings"][0]["message"]


def test_class_averages_are_used_without_the_ctf_and_with_a_warning(data, monkeypatch):
    averages = data.with_name("run_it025_classes.mrcs")
    code, found = check(averages, "--from-class-averages")
    assert (code, found["n_particles"]) == (0, 11)
    (warning,) = [one for one in found["findings"] if one["level"] == "warning"]
    assert warning["code"] == "class-averages"
    assert "--classes-2d" in warning["advice"]
    use_fake_engine(monkeypatch)
    run = data.parent / "quick"
    done = invoke("run", averages, "-o", run, "--from-class-averages", "--mask-diameter", 100,
                  "--iterations", 2, "--quiet")  # fmt: skip
    assert done.exit_code == 0, done.output
    record = RunFolder(run).read_record()
    assert record.class_averages
    assert not record.settings.ctf
    assert not record.settings.independent_half_sets
    assert "used as if they were particles" in (run / "log.txt").read_text()


def test_the_form_previews_class_averages_without_the_ctf(data):
    files = ParticleFiles(data.with_name("run_it025_classes.mrcs"), class_averages=True)
    *_, last = preview_particles(files, InitialModelSettings())
    assert last.report.ok
    assert not last.report.bad_images


def test_class_averages_are_asked_for_by_their_option(data):
    code, found = check(data.with_name("run_it025_classes.mrcs"))
    assert code == 3
    assert "--from-class-averages" in found["findings"][0]["advice"]


@pytest.mark.parametrize(
    ("text", "numbers"), [("1,4,7", (1, 4, 7)), ("7, 3-5,4", (3, 4, 5, 7)), ("0", (0,))]
)
def test_classes_are_numbers_and_ranges(text, numbers):
    assert parse_classes(text) == numbers


@pytest.mark.parametrize("text", ["", "1,,2", "a", "5-3", "-1", "1-1000000000"])
def test_other_lists_of_classes_are_refused(text, data):
    with pytest.raises(SettingsError, match="such as 1,4,7-9"):
        parse_classes(text)
    assert invoke("check", data, f"--classes-2d={text}").exit_code == 2
