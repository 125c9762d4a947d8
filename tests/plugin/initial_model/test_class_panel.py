"""Buttons for the classes of a run."""

from weakref import ref

import numpy as np
import pytest
from fake_runs import make_report, make_volume
from qtpy.QtWidgets import QWidget

from napari_ini3d.plugin.compare.dock import CompareWidget
from napari_ini3d.plugin.initial_model.class_panel import ClassPanel
from napari_ini3d.plugin.session.live_layers import LiveLayers
from napari_ini3d.plugin.session.worker import Progress
from napari_ini3d.runs.summary import IterationSummary


def progress_of(count):
    report = make_report(3, classes=count, resolution=np.linspace(10, 20, count))
    volumes = np.stack([make_volume(seed=k) for k in range(count)])
    return Progress(IterationSummary.from_report(report), volumes, n_classes=count)


@pytest.fixture
def panel(viewer, qtbot, tmp_path):
    layers = LiveLayers(ref(viewer.__wrapped__))
    layers.begin(tmp_path / "run")
    parent = QWidget()
    qtbot.addWidget(parent)
    panel = ClassPanel(layers, parent)
    panel.kept_parent = parent
    return panel


def pairs(panel):
    return [action.text() for action in panel.compare.menu().actions()]


def test_the_buttons_are_there_only_for_several_classes(panel):
    panel._layers.show(progress_of(1))
    assert panel.isHidden()
    panel._layers.show(progress_of(3))
    assert not panel.isHidden()
    assert pairs(panel) == [
        "Compare class 1 with class 2",
        "Compare class 1 with class 3",
        "Compare class 2 with class 3",
    ]


def test_a_panel_that_is_made_for_several_classes_opens_no_window(panel):
    panel._layers.show(progress_of(2))
    made = ClassPanel(panel._layers, panel.parentWidget())
    assert not made.isHidden()
    assert not made.isWindow()
    assert not made.isVisible()


def test_the_button_switches_the_cells(panel, viewer):
    panel._layers.show(progress_of(2))
    assert panel.side_by_side.isChecked()
    assert viewer.canvas.grid.enabled
    panel.side_by_side.click()
    assert not viewer.canvas.grid.enabled
    panel.side_by_side.click()
    assert viewer.canvas.grid.enabled


def test_a_pair_is_compared_on_a_click(panel, viewer, qtbot):
    panel._layers.show(progress_of(3))
    panel.compare.menu().actions()[1].trigger()
    (dock,) = (
        widget
        for found in viewer.window.dock_widgets.values()
        for widget in [getattr(found, "native", found)]
        if isinstance(widget, CompareWidget)
    )
    assert dock.first.layer is panel._layers.maps[0]
    assert dock.second.layer is panel._layers.maps[2]
    qtbot.waitUntil(lambda: not dock.tasks.busy, timeout=60_000)
    assert dock.comparison.active
