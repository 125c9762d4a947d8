import pytest

from napari_ini3d.errors import (
    DeviceError,
    RunFolderError,
    SettingsError,
    StackError,
    SymmetryError,
)
from napari_ini3d.plugin.initial_model.validation import (
    field_of_failure,
    find_problems,
    is_resumable,
)
from napari_ini3d.preflight.check import CheckReport
from napari_ini3d.preflight.findings import Finding
from napari_ini3d.runs.folder import RunFolder
from napari_ini3d.settings import InitialModelSettings, setting_types

DEFAULTS = {name: getattr(InitialModelSettings(), name) for name in setting_types()}


@pytest.fixture
def star(tmp_path):
    path = tmp_path / "particles.star"
    path.touch()
    return path


def problems(star, output, **changes):
    report = CheckReport(path=star, n_particles=9, box_size=32, pixel_size=4.0)
    return find_problems(str(star), str(output), DEFAULTS | changes, report)


def test_a_run_that_can_start_has_no_problems(star, tmp_path):
    assert problems(star, tmp_path / "run") == {}


def test_an_empty_field_is_a_problem_of_that_field():
    assert set(find_problems("", "", DEFAULTS, None)) == {"particles", "output"}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"mask_diameter": 400.0}, "128 Å wide"),
        ({"mask_diameter": 3.0}, "at least 10"),
        ({"symmetry": "Q7"}, "unknown point group 'Q7'"),
        ({"symmetry": "Q8"}, "or auto to detect the symmetry"),
        ({"symmetry": "D2h"}, "mirror"),
        ({"symmetry": ""}, "point group"),
        ({"symmetry": "auto", "symmetry_during_run": True}, "detected in the finished map"),
        ({"device": "gpu:9"}, "gpu:9"),
        ({"max_resolution": 90.0}, "coarser than initial_resolution"),
        ({"iterations": 1}, "between 2 and 2000"),
        ({"scratch": "/dev/null/x"}, "give a folder as scratch"),
    ],
)
def test_a_problem_belongs_to_the_field_that_causes_it(star, tmp_path, changes, words):
    found = problems(star, tmp_path / "run", **changes)
    assert list(found) == list(changes)[:1]
    assert words in found[next(iter(changes))]


@pytest.mark.parametrize("group", ["C1", "c4", "D2", "T", "O", "I", "I3", "auto", "AUTO"])
def test_point_groups_and_auto_are_accepted(star, tmp_path, group):
    assert problems(star, tmp_path / "run", symmetry=group) == {}


def test_several_problems_are_reported_at_once(star, tmp_path):
    found = problems(star, tmp_path / "run", classes=0, iterations=1, symmetry="Q7")
    assert set(found) == {"classes", "iterations", "symmetry"}


def test_the_first_problem_of_the_particles_is_reported(star, tmp_path):
    wrong = [
        Finding(code="stack", level="error", message=text)
        for text in ("stack.mrcs: truncated", "other.mrcs: missing")
    ]
    report = CheckReport(path=star, findings=tuple(wrong))
    found = find_problems(str(star), str(tmp_path / "run"), DEFAULTS, report)
    assert found == {"particles": "stack.mrcs: truncated"}


def test_a_missing_file_is_reported(tmp_path):
    found = find_problems(str(tmp_path / "no.star"), str(tmp_path / "run"), DEFAULTS, None)
    assert "is not a file" in found["particles"]


def test_the_problem_of_a_folder_with_a_run_says_how_to_continue(star, tmp_path):
    run = RunFolder.create(tmp_path / "run")
    run.settings_path.touch()
    run.checkpoint_path.touch()
    assert is_resumable(run.path)
    assert "resume it" in problems(star, run.path)["output"]
    run.mark("SUCCESS")
    assert not is_resumable(run.path)
    assert "finished run" in problems(star, run.path)["output"]


@pytest.mark.parametrize(
    ("error", "field"),
    [
        (SymmetryError("x"), "symmetry"),
        (DeviceError("x"), "device"),
        (StackError("x"), "particles"),
        (RunFolderError("x"), "output"),
        (SettingsError("mask_diameter is 400 Å; ..."), "mask_diameter"),
        (SettingsError("something else"), None),
        (RuntimeError("x"), None),
    ],
)
def test_an_error_of_a_run_has_its_field(error, field):
    assert field_of_failure(error) == field
