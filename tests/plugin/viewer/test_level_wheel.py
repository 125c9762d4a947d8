"""The wheel over the picture, as Qt delivers it."""

import numpy as np
import pytest
from qtpy.QtCore import QPoint, QPointF, Qt
from qtpy.QtGui import QWheelEvent
from qtpy.QtWidgets import QApplication

from napari_ini3d.plugin.viewer import map_layers
from napari_ini3d.plugin.viewer.level_wheel import SIGMA_PER_STEP, LevelWheel, map_for_wheel

N, VOXEL = 24, 3.0


def body(shift=0):
    z, y, x = np.mgrid[:N, :N, :N] - N // 2
    return np.exp(-((x - shift) ** 2 / 30 + y**2 / 12 + z**2 / 12)).astype(np.float32)


@pytest.fixture
def layer(viewer):
    return map_layers.show_map(viewer, body(), VOXEL, "map").__wrapped__


def turn_wheel(steps, modifiers):
    (canvas,) = (
        widget for widget in QApplication.allWidgets()
        if "CanvasBackend" in type(widget).__name__ and widget.isVisible()
    )  # fmt: skip
    middle = QPointF(canvas.rect().center())
    event = QWheelEvent(
        middle,
        QPointF(canvas.mapToGlobal(canvas.rect().center())),
        QPoint(0, 0),
        QPoint(0, 120 * steps),
        Qt.MouseButton.NoButton,
        modifiers,
        Qt.ScrollPhase.NoScrollPhase,
        False,
    )
    QApplication.sendEvent(canvas, event)


def test_the_wheel_sets_the_level_while_shift_is_held_and_not_alone(viewer, layer):
    level, zoom = map_layers.level_in_sigma(layer), viewer.scene.camera.zoom
    turn_wheel(1, Qt.KeyboardModifier.ShiftModifier)
    assert map_layers.level_in_sigma(layer) == pytest.approx(level + SIGMA_PER_STEP)
    turn_wheel(-1, Qt.KeyboardModifier.ShiftModifier)
    assert map_layers.level_in_sigma(layer) == pytest.approx(level)
    assert viewer.scene.camera.zoom == zoom
    turn_wheel(1, Qt.KeyboardModifier.NoModifier)
    assert map_layers.level_in_sigma(layer) == pytest.approx(level)


def test_of_several_visible_maps_the_selected_one_is_set(viewer, layer):
    other = map_layers.show_map(viewer, body(4), VOXEL, "other").__wrapped__
    layer.visible = other.visible = True
    viewer.layers.selection.active = layer
    assert map_for_wheel(viewer) is layer
    viewer.layers.selection.clear()
    assert map_for_wheel(viewer) is None
    other.visible = False
    assert map_for_wheel(viewer) is layer


def test_a_viewer_has_one_wheel(viewer, layer):
    wheel, n = LevelWheel.of(viewer), len(viewer.mouse_wheel_callbacks)
    assert LevelWheel.of(viewer) is wheel
    assert len(viewer.mouse_wheel_callbacks) == n
