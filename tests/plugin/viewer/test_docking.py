"""Docks of the plugin in one window: they share one place, and do nothing while hidden."""

import numpy as np
import pytest

from napari_ini3d.plugin.viewer import map_layers

NAMES = ("Initial model", "Convergence", "Symmetry", "Compare maps")


def ball():
    z, y, x = np.mgrid[:16, :16, :16] - 8
    return np.exp(-(x**2 + y**2 + z**2) / 12).astype(np.float32)


@pytest.fixture
def docks(viewer, own_config, qtbot):
    opened = []
    for name in NAMES:
        opened.append(viewer.window.add_plugin_dock_widget("napari-ini3d", name))
        qtbot.wait(100)
    return opened


def test_the_docks_are_tabs_of_one_place(docks, qtbot):
    window = docks[0][0].parentWidget()
    tabs = window.tabifiedDockWidgets(docks[0][0])
    assert {id(dock) for dock in tabs} == {id(dock) for dock, _ in docks[1:]}
    assert not docks[-1][1].visibleRegion().isEmpty(), "the last one opened is in front"


def test_a_hidden_dock_draws_no_axes(viewer, docks, qtbot):
    dock, widget = docks[2]
    dock.show()
    dock.raise_()
    qtbot.wait(50)
    widget.axes.frame.setChecked(True)
    dock.hide()
    viewer.layers.clear()
    map_layers.show_map(viewer, ball(), 3.0, "another")
    assert [layer.name for layer in viewer.layers] == ["another"]
    dock.show()
    assert len(viewer.layers) > 1
