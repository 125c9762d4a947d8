"""Saving and restoring of a session: layers, levels, camera, docks."""

import threading
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("napari")

from dock_driver import press, until
from fake_runs import make_volume, write_fake_run
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QDockWidget

from napari_ini3d.io import write_map
from napari_ini3d.plugin.export import dock, window
from napari_ini3d.plugin.export.dock import ExportWidget
from napari_ini3d.plugin.reader import read_layers, read_run_layers
from napari_ini3d.plugin.session import RunSession
from napari_ini3d.plugin.viewer import (
    add_layers,
    get_metadata,
    level_in_sigma,
    main_window_of,
    show_iteration,
    show_map,
    shown_iteration,
)
from napari_ini3d.plugin.viewer.map_level import set_level_in_sigma
from napari_ini3d.runs import read_window_state, write_window_state


@pytest.fixture
def export(viewer):
    _, widget = viewer.window.add_plugin_dock_widget("napari-ini3d", "Export")
    assert isinstance(widget, ExportWidget)
    return widget


@pytest.fixture
def run(tmp_path):
    """A run folder with two classes and four iterations."""
    return write_fake_run(tmp_path / "run", 4, classes=2)


def restore(qtbot, export, folder):
    """Restore a session, and wait until its files are read."""
    export.restore_session(folder)
    until(qtbot, lambda: not export.tasks.busy)


def maps(viewer):
    made = ("mesh", "caption")  # by the plugin, from others
    return {x.name: x for x in viewer.layers if get_metadata(x, "kind") not in made}


def test_a_session_is_restored_in_another_window_state(viewer, export, run, tmp_path, qtbot):
    write_map(tmp_path / "other.mrc", make_volume(), 4.0)
    add_layers(viewer, read_run_layers(run.path))
    add_layers(viewer, read_layers(str(tmp_path / "other.mrc")))
    first, second = list(maps(viewer).values())[:2]
    set_level_in_sigma(first, 2.5)
    second.visible, second.colormap, second.name = False, "#ff0000", "mine"
    maps(viewer)["other"].opacity = 0.5
    show_iteration(viewer, first, 2)
    camera = viewer.scene.camera
    camera.angles, camera.zoom, camera.center = (10.0, 20.0, 30.0), 1.25, (1.0, 2.0, 3.0)
    viewer.window.add_plugin_dock_widget("napari-ini3d", "Map display")
    export.save_session()
    assert str(run.path / "window.json") in export.status.text()

    viewer.layers.clear()
    viewer.window.remove_dock_widget(viewer.window.dock_widgets["Map display (napari-ini3d)"])
    camera.angles, camera.zoom = (0.0, 0.0, 0.0), 5.0
    extra = show_map(viewer, make_volume(), 4.0, "extra")
    restore(qtbot, export, run.path)
    assert export.status.text().endswith("window.json.")  # nothing left out
    found = maps(viewer)
    assert not extra.visible
    assert level_in_sigma(found[first.name]) == pytest.approx(2.5, abs=1e-3)
    assert shown_iteration(viewer, found[first.name]) == 2
    assert not found["mine"].visible
    np.testing.assert_allclose(found["mine"].colormap.colors[-1], (1, 0, 0, 1))
    assert found["other"].opacity == 0.5
    np.testing.assert_allclose(camera.angles, (10, 20, 30), atol=1e-6)
    np.testing.assert_allclose(camera.center, (1, 2, 3))
    assert camera.zoom == 1.25
    assert "Map display (napari-ini3d)" in viewer.window.dock_widgets


def test_the_run_of_a_restored_session_is_that_of_the_window(viewer, export, run, tmp_path, qtbot):
    session = RunSession.of(viewer)
    session.reopen(run.path)
    viewer.dims.set_point(0, 2)
    export.save_session()
    assert "Left out" not in export.status.text()  # captions are made again
    other = write_fake_run(tmp_path / "other", 3)
    viewer.layers.clear()
    session.reopen(other.path)
    restore(qtbot, export, run.path)
    assert session.run_folder == run.path
    assert viewer.canvas.grid.enabled  # its classes are not drawn inside each other
    assert viewer.canvas.overlays.text.text.startswith("run · iteration 2")
    assert [layer.visible for layer in viewer.layers if layer.name.startswith("other")] == [False]


def test_restoring_twice_opens_nothing_twice(viewer, export, run, qtbot):
    add_layers(viewer, read_run_layers(run.path))
    export.save_session()
    before = [layer.name for layer in viewer.layers]
    restore(qtbot, export, run.path)
    assert [layer.name for layer in viewer.layers] == before
    assert len(viewer.window.dock_widgets) == 1


def test_a_layer_without_a_file_is_named_and_left_out(viewer, export, run):
    add_layers(viewer, read_run_layers(run.path))
    show_map(viewer, make_volume(), 4.0, "computed")
    export.save_session()
    assert "Left out, because no file holds them: computed." in export.status.text()


def test_a_file_that_is_gone_is_named_and_the_rest_is_restored(
    viewer, export, run, tmp_path, qtbot
):
    write_map(tmp_path / "other.mrc", make_volume(), 4.0)
    add_layers(viewer, read_run_layers(run.path))
    add_layers(viewer, read_layers(str(tmp_path / "other.mrc")))
    export.save_session()
    viewer.layers.clear()
    (tmp_path / "other.mrc").unlink()
    restore(qtbot, export, run.path)
    assert "other" in export.status.text()
    assert "is not there any more" in export.status.text()
    assert len(maps(viewer)) == 2


def test_without_a_run_there_is_no_place_for_a_session(viewer, export, tmp_path, monkeypatch):
    messages = []
    monkeypatch.setattr(dock, "show_error", messages.append)
    show_map(viewer, make_volume(), 4.0, "map")
    export.save_session()
    assert "no run is shown" in messages[0]
    export.restore_session(tmp_path)
    assert "has no settings.json" in messages[1]


def test_docks_come_back_to_their_places(viewer, export, run, qtbot):
    add_layers(viewer, read_run_layers(run.path))
    viewer.window.add_plugin_dock_widget("napari-ini3d", "Map display")
    qtbot.wait(20)  # until they are tabs
    window = main_window_of(export)
    display = next(d for d in window.findChildren(QDockWidget) if "Map display" in d.windowTitle())
    window.addDockWidget(Qt.DockWidgetArea.LeftDockWidgetArea, display)
    export.save_session()
    assert read_window_state(run).layout
    window.addDockWidget(Qt.DockWidgetArea.BottomDockWidgetArea, display)
    restore(qtbot, export, run.path)
    assert window.dockWidgetArea(display) == Qt.DockWidgetArea.LeftDockWidgetArea
    viewer.window.remove_dock_widget(viewer.window.dock_widgets["Map display (napari-ini3d)"])
    restore(qtbot, export, run.path)
    display = next(d for d in window.findChildren(QDockWidget) if "Map display" in d.windowTitle())
    assert window.dockWidgetArea(display) == Qt.DockWidgetArea.LeftDockWidgetArea


def test_a_layout_that_qt_does_not_understand_is_named(viewer, export, run, qtbot):
    add_layers(viewer, read_run_layers(run.path))
    export.save_session()
    write_window_state(run, replace(read_window_state(run), layout="bm9uc2Vuc2U="))
    restore(qtbot, export, run.path)
    assert "the layout of the docks" in export.status.text()


def test_the_files_of_a_session_are_read_in_a_thread_and_can_be_cancelled(
    viewer, export, run, tmp_path, qtbot, monkeypatch
):
    write_map(tmp_path / "other.mrc", make_volume(), 4.0)
    add_layers(viewer, read_run_layers(run.path))
    add_layers(viewer, read_layers(str(tmp_path / "other.mrc")))
    export.save_session()
    viewer.layers.clear()
    threads, go_on = [], threading.Event()

    def slow(path):
        threads.append(threading.current_thread())
        go_on.wait(30)
        return read_layers(path)

    monkeypatch.setattr(window, "read_files", slow)
    export.restore_session(run.path)
    until(qtbot, lambda: bool(threads))
    assert threads[0] is not threading.main_thread()
    assert not export.bar.isHidden()
    press(qtbot, export.cancel)
    go_on.set()
    until(qtbot, lambda: export.restore_window.isEnabled())
    qtbot.wait(50)
    assert "other" not in maps(viewer)
    assert export.status.text() == "Cancelled."
