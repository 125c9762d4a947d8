import json

import pytest
from fake_runs import make_record

from napari_ini3d.errors import RunFolderError
from napari_ini3d.runs.folder import RunFolder
from napari_ini3d.runs.removal import delete_run
from napari_ini3d.runs.window_state import (
    CameraState,
    LayerState,
    WindowState,
    read_window_state,
    write_window_state,
)

STATE = WindowState(
    layers=(
        LayerState(path=".", name="run", class_index=1, colormap="#56b4e9", sigma=3.5),
        LayerState(path="/data/other.mrc", name="other", visible=False, opacity=0.5),
    ),
    camera=CameraState(angles=(10.0, 20.0, -30.0), center=(0.0, 1.0, 2.0), zoom=2.5),
    iteration=30,
    docks=("Convergence", "Symmetry"),
)


@pytest.fixture
def run(tmp_path):
    folder = RunFolder.create(tmp_path / "run")
    folder.write_record(make_record())
    return folder


def edit(run, **changes):
    path = run.path / "window.json"
    values = json.loads(path.read_text())
    path.write_text(json.dumps(values | changes))


def test_a_state_is_read_as_it_was_written(run):
    write_window_state(run, STATE)
    found = read_window_state(run)
    assert found == STATE
    assert found.problems == ()


def test_a_state_is_deleted_with_its_run(run):
    write_window_state(run, STATE)
    delete_run(run)
    assert not run.path.exists()


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"camera": {"angles": [1, 2], "center": [0, 0, 0], "zoom": 1}}, "the camera"),
        ({"camera": {"angles": [1, 2, 3], "center": [0, 0, 0], "zoom": -1}}, "the camera"),
        ({"camera": {"angles": [1, 2, "x"], "center": [0, 0, 0], "zoom": 1}}, "found 'x'"),
        ({"camera": [1]}, "expected a table"),
        ({"camera": {"angles": [1, 2, 10**400], "center": [0, 0, 0], "zoom": 1}}, "a number from"),
        ({"camera": {"angles": [1, 2, 3], "center": [0, 0, 0]}}, "the camera (no 'zoom')"),
        ({"layers": [{"name": "a"}]}, "layer 1 (no 'path')"),
        ({"layers": [{"name": "a"}]}, "layer 1"),
        ({"layers": [{"path": ".", "name": "a"}, {"path": ".", "name": "b", "sigma": True}]},
         "layer 2"),
        ({"layers": [{"path": ".", "name": "a", "opacity": 7}]}, "from 0 to 1"),
        ({"layers": "none"}, "the list of layers"),
        ({"iteration": -3}, "the iteration"),
        ({"iteration": 1.5}, "expected a count"),
        ({"docks": [3]}, "the list of docks"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_named_and_left_out(run, changes, problem):
    write_window_state(run, STATE)
    edit(run, **changes)
    found = read_window_state(run)
    assert len(found.problems) == 1
    assert problem in found.problems[0]
    untouched = {"layers", "camera", "iteration", "docks"} - changes.keys()
    for name in untouched:
        assert getattr(found, name) == getattr(STATE, name)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"version": 99}', "\xff\xfe", "[" * 100_000])
def test_a_file_that_is_no_state_is_refused_with_its_name(run, text):
    (run.path / "window.json").write_text(text, encoding="latin-1")
    with pytest.raises(RunFolderError, match=r"window\.json cannot be used"):
        read_window_state(run)


def test_a_run_without_a_state_says_so(run):
    with pytest.raises(RunFolderError, match="no session was saved"):
        read_window_state(run)
