"""Large files and samples are read in a thread while a window goes on."""

import threading
from dataclasses import replace

import numpy as np
import pytest
from fake_runs import make_volume
from qtpy.QtCore import Qt, QTimer
from qtpy.QtWidgets import QApplication, QProgressDialog, QPushButton

from napari_ini3d.errors import MapError
from napari_ini3d.io.mrc.maps import write_map
from napari_ini3d.plugin import opening, sample_data
from napari_ini3d.plugin.layers import map_layer
from napari_ini3d.plugin.viewer.background_opening import BackgroundOpening, open_in_background
from napari_ini3d.plugin.viewer.task_runner import Cancelled
from napari_ini3d.simulation import make_phantom, simulate_particles, write_dataset


@pytest.fixture
def map_path(tmp_path, monkeypatch):
    monkeypatch.setattr(opening, "_LARGE_MAP", 100)  # bytes
    write_map(tmp_path / "map.mrc", make_volume(), 2.0)
    return tmp_path / "map.mrc"


def in_event_loop(qtbot, action):
    """Call something as a drop does: by an event."""
    results = []
    QTimer.singleShot(0, lambda: results.append(action()))
    qtbot.waitUntil(lambda: bool(results), timeout=10_000)
    return results[0]


def test_a_large_map_that_is_dropped_is_added_when_it_is_read(viewer, qtbot, map_path):
    reader = opening.get_reader(str(map_path))
    assert in_event_loop(qtbot, lambda: reader(str(map_path))) == [(None,)]
    qtbot.waitUntil(lambda: len(viewer.layers) == 1, timeout=10_000)
    assert viewer.layers[0].name == "map"
    assert viewer.dims.ndisplay == 3


def test_a_script_has_its_layers_at_once(viewer, map_path):
    ((data, _, _),) = opening.get_reader(str(map_path))(str(map_path))
    np.testing.assert_array_equal(data, make_volume())


def test_small_files_are_read_at_once(tmp_path):
    write_map(tmp_path / "map.mrc", make_volume(), 2.0)
    assert opening.get_reader(str(tmp_path / "map.mrc")) is not opening.read_large


def test_the_window_goes_on_while_something_is_read(viewer, qtbot):
    go_on = threading.Event()

    def read(_task):
        go_on.wait(10)
        return [map_layer(make_volume(), 2.0, "late")]

    assert in_event_loop(qtbot, lambda: open_in_background("Reading late", read))
    assert BackgroundOpening.of(viewer).busy
    assert "Reading late" in viewer.status
    qtbot.wait(50)  # events are processed
    assert len(viewer.layers) == 0
    go_on.set()
    qtbot.waitUntil(lambda: len(viewer.layers) == 1, timeout=10_000)
    assert not BackgroundOpening.of(viewer).busy


def test_an_error_is_shown_and_nothing_is_added(viewer, qtbot, monkeypatch):
    shown = []
    monkeypatch.setattr("napari_ini3d.plugin.viewer.task_runner.show_error", shown.append)

    def read(_task):
        raise MapError("map.mrc is not a cube; crop it")

    in_event_loop(qtbot, lambda: open_in_background("Reading map.mrc", read))
    qtbot.waitUntil(lambda: bool(shown), timeout=10_000)
    assert "crop it" in shown[0]
    assert "Reading" not in viewer.status
    assert len(viewer.layers) == 0


@pytest.fixture
def slow_sample(monkeypatch, tmp_path):
    """A sample whose simulation goes on when the returned event is set."""
    go_on = threading.Event()

    def make(base, name, recipe, step):
        go_on.wait(10)
        step("Writing the sample")
        folder = tmp_path / name
        folder.mkdir()
        few = replace(recipe.particles, number=3)
        molecule = make_phantom("C1")
        write_dataset(folder, simulate_particles(molecule, few), molecule)
        return folder

    monkeypatch.setattr(sample_data, "_bases", lambda: (tmp_path / "a", tmp_path / "b"))
    monkeypatch.setattr(sample_data, "_make_sample", make)
    yield go_on
    go_on.set()


def open_sample(viewer, qtbot, key):
    """Open a sample as napari's File menu does."""
    in_event_loop(qtbot, lambda: viewer.open_sample("napari-ini3d", key))


def is_there(viewer, name):
    return [layer.name for layer in viewer.layers] == [name]


def test_a_sample_that_has_to_be_simulated_does_not_make_the_window_wait(
    viewer, qtbot, slow_sample
):
    open_sample(viewer, qtbot, "d2_map")
    assert is_there(viewer, "Simulating the sample D2, once …")
    slow_sample.set()
    qtbot.waitUntil(lambda: is_there(viewer, "D2 sample map"), timeout=10_000)
    assert viewer.dims.ndisplay == 3


def test_particles_that_are_read_in_a_thread_are_shown_in_2d(viewer, qtbot, slow_sample):
    open_sample(viewer, qtbot, "d2_particles")
    slow_sample.set()
    qtbot.waitUntil(lambda: is_there(viewer, "D2 sample particles"), timeout=60_000)
    assert viewer.dims.ndisplay == 2


def test_a_sample_that_is_cancelled_leaves_no_layer(viewer, qtbot, slow_sample):
    open_sample(viewer, qtbot, "d2_map")
    qtbot.waitUntil(lambda: len(progress_windows()) == 1, timeout=30_000)
    progress_windows()[0].findChild(QPushButton).click()
    qtbot.waitUntil(lambda: not len(viewer.layers), timeout=10_000)


def progress_windows():
    shown = QApplication.topLevelWidgets()
    return [found for found in shown if isinstance(found, QProgressDialog) and found.isVisible()]


def test_a_long_reading_has_a_bar_and_can_be_cancelled(viewer, qtbot, monkeypatch):
    go_on, ended = threading.Event(), threading.Event()
    shown = []
    monkeypatch.setattr("napari_ini3d.plugin.viewer.task_runner.show_error", shown.append)

    def read(task):
        task.step("First half")
        go_on.wait(30)
        try:
            task.step("Second half")  # raises after Cancel
        finally:
            ended.set()
        return [map_layer(make_volume(), 2.0, "late")]

    in_event_loop(qtbot, lambda: open_in_background("Making late", read, steps=2))
    qtbot.waitUntil(lambda: len(progress_windows()) == 1, timeout=30_000)
    (window,) = progress_windows()
    qtbot.waitUntil(lambda: "First half" in window.labelText(), timeout=30_000)
    assert 0 < window.value() < 100
    qtbot.mouseClick(window.findChild(QPushButton), Qt.MouseButton.LeftButton)
    assert not BackgroundOpening.of(viewer).busy
    assert "Making late" not in viewer.status
    go_on.set()
    qtbot.waitUntil(lambda: ended.is_set() and not progress_windows(), timeout=30_000)
    qtbot.wait(50)
    assert len(viewer.layers) == 0
    assert not shown


def test_a_sample_that_is_cancelled_leaves_no_folder(monkeypatch, tmp_path):
    monkeypatch.setattr(sample_data, "_bases", lambda: (tmp_path / "a", tmp_path / "b"))
    steps = []

    def step(text):
        steps.append(text)
        if len(steps) == 3:
            raise Cancelled("cancelled")

    with pytest.raises(Cancelled):
        sample_data.sample_folder("D2", step)
    assert steps[-1] == "Simulating particles"
    assert not list(tmp_path.glob("*/*"))
