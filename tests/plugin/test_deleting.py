"""Layers that a user deletes together: maps with their meshes, axes, captions."""

import shutil
from weakref import ref

import numpy as np
import pytest

pytest.importorskip("napari")

from fake_runs import make_report, make_volume, write_fake_run

from napari_ini3d.plugin import layers as layers_module
from napari_ini3d.plugin.compare.side_by_side import SideBySide
from napari_ini3d.plugin.session.live_layers import LiveLayers
from napari_ini3d.plugin.session.session import RunSession
from napari_ini3d.plugin.session.worker import Progress
from napari_ini3d.plugin.symmetry.dock import SymmetryWidget
from napari_ini3d.plugin.viewer.map_axes import MapAxes
from napari_ini3d.plugin.viewer.map_layers import show_map
from napari_ini3d.plugin.viewer.map_meshes import mesh_of
from napari_ini3d.runs.summary import IterationSummary

pytestmark = pytest.mark.meshes


def show_classes(viewer, tmp_path, qtbot, n=3):
    layers = LiveLayers(ref(viewer))
    layers.begin(tmp_path / "run")
    volumes = np.stack([make_volume(seed=k) for k in range(n)])
    report = make_report(7, classes=n, volumes=volumes)
    layers.show(Progress(IterationSummary.from_report(report), volumes, n_classes=n))
    qtbot.waitUntil(lambda: all(mesh_of(viewer, layer) for layer in layers.maps), timeout=60_000)
    return layers


def show_axes(viewer, qtbot):
    dock = SymmetryWidget(viewer)
    viewer.window.add_dock_widget(dock, name="Symmetry")
    qtbot.waitUntil(dock.isVisible)
    dock.axes.frame.click()
    return dock


def compare_two(viewer):
    maps = [show_map(viewer, make_volume(seed=k), 2.0, f"map {k}") for k in (5, 6)]
    SideBySide.of(viewer).show(maps, [MapAxes.of_setting("D2", "detected"), None])


@pytest.mark.parametrize("order", [1, -1])
def test_everything_that_a_run_shows_can_be_selected_and_deleted(viewer, tmp_path, qtbot, order):
    real = viewer.__wrapped__
    _shown = show_classes(real, tmp_path, qtbot)
    _dock = show_axes(real, qtbot)
    kinds = {type(layer).__name__ for layer in real.layers}
    assert kinds == {"Image", "Surface", "Points"}
    real.layers.selection.update([*real.layers][::order])
    real.layers.remove_selected()
    qtbot.wait(50)
    assert len(real.layers) == 0


@pytest.mark.parametrize("n", [pytest.param(2, marks=pytest.mark.thorough), 3])
def test_everything_is_cleared_at_once(viewer, tmp_path, qtbot, n):
    """As `layers.clear` does, which would never end if layers were added for cells meanwhile."""
    real = viewer.__wrapped__
    _shown = show_classes(real, tmp_path, qtbot, n)
    _dock = show_axes(real, qtbot)
    for _ in range(100):
        if real.layers:
            real.layers.pop()
    assert len(real.layers) == 0
    qtbot.wait(50)
    assert len(real.layers) == 0
    assert not real.canvas.grid.enabled
    show_map(real, make_volume(), 2.0, "next")  # napari drew a map that was gone, and crashed
    assert viewer.screenshot(canvas_only=True, size=(200, 200), flash=False)[..., :3].any()


def test_an_iteration_whose_file_is_gone_is_not_shown_as_another_one(
    viewer, tmp_path, qtbot, monkeypatch
):
    real, shown = viewer.__wrapped__, []
    monkeypatch.setattr(layers_module, "_show_error", shown.append)
    folder = write_fake_run(tmp_path / "run", 12)
    session = RunSession.of(viewer)
    session.reopen(folder.path)
    (layer,) = session.layers.maps
    qtbot.waitUntil(lambda: mesh_of(real, layer) is not None, timeout=60_000)
    mesh = mesh_of(real, layer)
    qtbot.waitUntil(lambda: len(mesh.data[1]) > 3, timeout=60_000)
    shutil.rmtree(folder.path)
    real.dims.set_point(0, 5)
    qtbot.waitUntil(lambda: len(mesh.data[1]) <= 3, timeout=60_000)  # nothing is drawn
    layer.visible = False
    layer.visible = True
    assert "iteration 5" in real.canvas.overlays.text.text
    (said,) = set(shown)
    assert "no map of class 1 at iteration 5; choose another iteration" in said
    real.dims.set_point(0, 12)  # which is kept
    qtbot.waitUntil(lambda: len(mesh.data[1]) > 3, timeout=60_000)


def test_maps_that_are_compared_can_be_deleted_with_all_others(viewer, tmp_path, qtbot):
    real = viewer.__wrapped__
    _shown = show_classes(real, tmp_path, qtbot)
    compare_two(real)
    real.layers.select_all()
    real.layers.remove_selected()
    qtbot.wait(50)
    assert len(real.layers) == 0
    assert not real.canvas.grid.enabled


def test_a_mesh_that_is_selected_goes_with_its_map(viewer, tmp_path, qtbot):
    real = viewer.__wrapped__
    layers = show_classes(real, tmp_path, qtbot)
    layer = layers.maps[0]
    mesh = mesh_of(real, layer)
    real.layers.selection.active = mesh
    real.layers.remove(layer)
    qtbot.waitUntil(lambda: mesh not in real.layers)
    assert len([found for found in real.layers if type(found).__name__ == "Surface"]) == 2
