"""Saving and restoring of a session: layers, levels, camera, docks."""

import numpy as np
import pytest

pytest.importorskip("napari")

from fake_runs import make_record, make_report, make_volume

from napari_ini3d.io import write_map
from napari_ini3d.plugin.export import dock
from napari_ini3d.plugin.export.dock import ExportWidget
from napari_ini3d.plugin.reader import read_layers, read_run_layers
from napari_ini3d.plugin.viewer import (
    add_layers,
    get_metadata,
    level_in_sigma,
    show_iteration,
    show_map,
    shown_iteration,
)
from napari_ini3d.plugin.viewer.map_level import set_level_in_sigma
from napari_ini3d.runs import IterationSummary, RunFolder, write_history


@pytest.fixture
def export(viewer):
    _, widget = viewer.window.add_plugin_dock_widget("napari-ini3d", "Export")
    assert isinstance(widget, ExportWidget)
    return widget


@pytest.fixture
def run(tmp_path):
    """A run folder with two classes and three iterations."""
    folder = RunFolder.create(tmp_path / "run")
    folder.write_record(make_record())
    for iteration in range(1, 4):
        report = make_report(iteration, 4, classes=2)
        write_history(folder, iteration, report.volumes, report.voxel_size)
        folder.append_progress(IterationSummary.from_report(report).to_json())
        for k, volume in enumerate(report.volumes):
            write_map(folder.class_map_path(iteration, k), volume, report.voxel_size)
    return folder


def maps(viewer):
    return {layer.name: layer for layer in viewer.layers if get_metadata(layer, "kind") != "mesh"}


def test_a_session_is_restored_in_another_window_state(viewer, export, run, tmp_path):
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
    export.restore_session(run.path)
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


def test_restoring_twice_opens_nothing_twice(viewer, export, run):
    add_layers(viewer, read_run_layers(run.path))
    export.save_session()
    before = [layer.name for layer in viewer.layers]
    export.restore_session(run.path)
    assert [layer.name for layer in viewer.layers] == before
    assert len(viewer.window.dock_widgets) == 1


def test_a_layer_without_a_file_is_named_and_left_out(viewer, export, run):
    add_layers(viewer, read_run_layers(run.path))
    show_map(viewer, make_volume(), 4.0, "computed")
    export.save_session()
    assert "Left out, because no file holds them: computed." in export.status.text()


def test_a_file_that_is_gone_is_named_and_the_rest_is_restored(viewer, export, run, tmp_path):
    write_map(tmp_path / "other.mrc", make_volume(), 4.0)
    add_layers(viewer, read_run_layers(run.path))
    add_layers(viewer, read_layers(str(tmp_path / "other.mrc")))
    export.save_session()
    viewer.layers.clear()
    (tmp_path / "other.mrc").unlink()
    export.restore_session(run.path)
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
