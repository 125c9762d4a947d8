"""The dock *Compare maps* in a real window."""

import numpy as np
import pytest
from qtpy.QtCore import Qt
from scipy.spatial.transform import Rotation
from symmetry_phantoms import known_map

from napari_ini3d.fourier.resample import mirror_map, rotate_map
from napari_ini3d.plugin.compare import dock as dock_module
from napari_ini3d.plugin.compare.dock import CompareWidget
from napari_ini3d.plugin.compare.side_by_side import SideBySide
from napari_ini3d.plugin.viewer import map_layers

VOXEL = 4.0


@pytest.fixture
def notifications(monkeypatch):
    messages = []
    for name in ("show_error", "show_warning"):
        monkeypatch.setattr(dock_module, name, messages.append)
    return messages


@pytest.fixture(scope="module")
def body():
    return known_map("C1", box_size=32, resolution=12.0).volume


def press(widget, qtbot, button):
    assert button.isEnabled(), button.text()
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: not widget.tasks.busy, timeout=120_000)


def test_a_rotated_and_mirrored_map_is_aligned_to_the_other(viewer, qtbot, body, notifications):
    rotation = Rotation.from_euler("xyz", [30, 50, -20], degrees=True).as_matrix()
    map_layers.show_map(viewer, body, VOXEL, "first")
    map_layers.show_map(
        viewer, 7 * rotate_map(mirror_map(body), rotation, (1, 0, -2)), VOXEL, "second"
    )
    widget = CompareWidget(viewer)
    viewer.window.add_dock_widget(widget, name="Compare maps")
    assert (widget.first.layer.name, widget.second.layer.name) == ("first", "second")
    press(widget, qtbot, widget.compare)
    assert "hands differ" in widget.numbers.text()
    aligned = viewer.layers["second on first"].data
    assert np.corrcoef(aligned.ravel(), body.ravel())[0, 1] > 0.97
    shown = SideBySide.of(viewer)
    assert [layer.name for layer in shown.maps] == ["first", "second on first"]
    sigmas = [map_layers.level_in_sigma(layer) for layer in shown.maps]
    assert sigmas[0] == pytest.approx(sigmas[1], abs=0.05)
    assert list(widget.plot.curves) == ["aligned", "not aligned"]
    press(widget, qtbot, widget.beside)
    assert not shown.active
    assert not notifications


def test_a_class_that_is_aligned_to_another_keeps_its_colour(viewer, qtbot, body):
    first = map_layers.show_map(viewer, body, VOXEL, "first")
    second = map_layers.show_map(viewer, np.roll(body, 2, axis=0), VOXEL, "second")
    first.colormap, second.colormap = "bop blue", "bop orange"
    widget = CompareWidget(viewer)
    viewer.window.add_dock_widget(widget, name="Compare maps")
    press(widget, qtbot, widget.compare)
    shown = SideBySide.of(viewer).maps
    assert [layer.colormap.name for layer in shown] == ["bop blue", "bop orange"]


def test_without_alignment_maps_are_compared_where_they_are(viewer, qtbot, body):
    map_layers.show_map(viewer, body, VOXEL, "first")
    map_layers.show_map(viewer, 2 * body, VOXEL, "second")
    widget = CompareWidget(viewer)
    viewer.window.add_dock_widget(widget, name="Compare maps")
    widget.register.setChecked(False)
    press(widget, qtbot, widget.compare)
    assert "Correlation inside the mask: 1.000" in widget.numbers.text()
    assert [layer.name for layer in SideBySide.of(viewer).maps] == ["first", "second"]
    viewer.layers.remove("second")
    assert not widget.beside.isEnabled()
    assert not widget.compare.isEnabled()


def test_maps_with_different_voxel_sizes_are_refused(viewer, qtbot, body, notifications):
    map_layers.show_map(viewer, body, VOXEL, "first")
    map_layers.show_map(viewer, body, 2 * VOXEL, "second")
    widget = CompareWidget(viewer)
    viewer.window.add_dock_widget(widget, name="Compare maps")
    press(widget, qtbot, widget.compare)
    assert "first: 32 voxels of 4 Å and second: 32 voxels of 8 Å" in notifications[0]


def test_one_map_is_not_enough(viewer, body):
    map_layers.show_map(viewer, body, VOXEL, "first")
    widget = CompareWidget(viewer)
    viewer.window.add_dock_widget(widget, name="Compare maps")
    assert not widget.compare.isEnabled()
    assert "Open two maps" in widget.numbers.text()
    map_layers.show_map(viewer, body, VOXEL, "second")
    assert widget.compare.isEnabled()
