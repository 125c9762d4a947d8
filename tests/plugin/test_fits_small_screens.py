"""Docks on a screen of 1280 x 800, also with large fonts: the window does not grow."""

import functools

import pytest
from fake_runs import make_volume, write_fake_run
from napari.settings import get_settings
from qtpy.QtWidgets import (
    QAbstractButton,
    QAbstractSpinBox,
    QApplication,
    QComboBox,
    QDockWidget,
    QLineEdit,
    QScrollArea,
    QSlider,
    QStyle,
    QTabBar,
    QTableView,
    QTabWidget,
    QWidget,
)

from napari_ini3d.io.mrc.maps import write_map
from napari_ini3d.plugin.export.window import restore_docks
from napari_ini3d.plugin.viewer import layer_controls
from napari_ini3d.plugin.viewer.docking import main_window_of
from napari_ini3d.plugin.viewer.map_layers import show_map
from napari_ini3d.plugin.viewer.map_meshes import mesh_of

DOCKS = (
    "Initial model",
    "Convergence",
    "Symmetry",
    "Map display",
    "Compare maps",
    "Particles",
    "Export",
)
CONTROLS = (QAbstractButton, QAbstractSpinBox, QComboBox, QLineEdit, QSlider)
SIDES = ("left", "bottom")
INNER = (QAbstractSpinBox, QComboBox, QLineEdit, QTabBar, QTableView)  # whose parts are Qt's own


@pytest.fixture
def docks(viewer, own_config):
    viewer.window.resize(1280, 800)
    opened = {}
    for name in DOCKS:
        opened[name] = viewer.window.add_plugin_dock_widget("napari-ini3d", name)[1]
        QApplication.processEvents()  # as a user opens them: one after the other
    return opened


@pytest.fixture
def large_font():
    appearance = get_settings().appearance
    before = appearance.font_size
    appearance.font_size = 18
    yield
    appearance.font_size = before


def test_docks_do_not_grow_the_window(viewer, large_font, docks, qtbot):
    show_map(viewer, make_volume(), 2.0, "map")
    window = main_window_of(docks["Symmetry"])
    for name, dock in docks.items():
        parent = dock.parentWidget()
        parent.show()
        parent.raise_()
        qtbot.wait(100)
        assert (window.width(), window.height()) == (1280, 800), name


@pytest.mark.meshes
def test_a_map_as_a_mesh_does_not_grow_the_window_beyond_a_small_screen(
    viewer, large_font, docks, qtbot, monkeypatch
):
    monkeypatch.setattr(layer_controls, "available_height", lambda _: 800)
    window = main_window_of(docks["Symmetry"])
    layer = show_map(viewer, make_volume(), 2.0, "map")
    viewer.dims.ndisplay = 3
    qtbot.waitUntil(lambda: mesh_of(viewer, layer) is not None, timeout=60_000)
    assert layer.depiction == "plane"  # whose rows napari adds
    qtbot.waitUntil(lambda: (window.width(), window.height()) == (1280, 800))
    qtbot.wait(200)
    assert (window.width(), window.height()) == (1280, 800)
    controls = window.findChild(QDockWidget, "layer controls").widget()
    assert controls.height() >= 0.85 * controls.minimumSizeHint().height()
    monkeypatch.setattr(layer_controls, "available_height", lambda _: 1200)
    viewer.layers.remove(layer)
    qtbot.waitUntil(lambda: controls.minimumHeight() == 0)


def assert_nothing_scrolls_sideways(docks, qtbot):
    bar = QApplication.style().pixelMetric(QStyle.PixelMetric.PM_ScrollBarExtent)
    too_wide = []
    for name, dock in docks.items():
        dock.parentWidget().raise_()
        qtbot.wait(50)
        for page, show_page in enumerate(pages_of(dock)):
            show_page()
            qtbot.wait(20)
            for area in dock.findChildren(QScrollArea):
                room = area.width() - bar  # of the vertical one, which long results bring
                need = area.widget().minimumSizeHint().width()
                if area.isVisible() and need > room:
                    too_wide.append((name, page, need, room))
            too_wide += [
                (name, page, "tabs")
                for tabs in dock.findChildren(QTabBar)
                if tabs.isVisible() and (tabs.usesScrollButtons() or tabs.width() > dock.width())
            ]
    assert not too_wide, too_wide


def pages_of(dock):
    """What shows each page of a dock; something that does nothing if it has no tabs."""
    tabs = dock.findChild(QTabWidget)
    if tabs is None:
        return [lambda: None]
    return [functools.partial(tabs.setCurrentIndex, i) for i in range(tabs.count())]


def test_docks_need_no_horizontal_scrollbar(viewer, docks, qtbot):
    assert_nothing_scrolls_sideways(docks, qtbot)


@pytest.mark.meshes
@pytest.mark.parametrize("theme", ["dark", "light"])
def test_docks_need_no_horizontal_scrollbar_with_large_fonts(
    viewer, large_font, docks, qtbot, theme, tmp_path
):
    viewer.theme = theme
    folder = write_fake_run(tmp_path / "a_run_with_a_long_name", 126, classes=3)
    write_map(folder.map_path, make_volume(), 2.0)
    folder.mark("SUCCESS")
    docks["Initial model"].session.reopen(folder.path)
    layer = show_map(viewer, make_volume(), 2.0, "map")
    qtbot.waitUntil(lambda: mesh_of(viewer, layer) is not None, timeout=60_000)
    assert_nothing_scrolls_sideways(docks, qtbot)


def test_docks_need_no_horizontal_scrollbar_after_the_font_has_grown(viewer, docks, qtbot):
    appearance = get_settings().appearance
    before = appearance.font_size
    appearance.font_size = 18
    try:
        assert_nothing_scrolls_sideways(docks, qtbot)
    finally:
        appearance.font_size = before


def test_docks_that_are_opened_at_once_share_one_place(viewer, own_config, qtbot):
    restore_docks(viewer, DOCKS)
    docks = [viewer.window.dock_widgets[f"{name} (napari-ini3d)"] for name in DOCKS]
    window = main_window_of(docks[0])
    first = docks[0].parentWidget()
    qtbot.wait(50)
    assert len(window.tabifiedDockWidgets(first)) == len(DOCKS) - 1


def test_docks_can_be_made_narrow(docks):
    for name, dock in docks.items():
        least = dock.minimumSizeHint()
        assert least.width() <= 280, name
        assert least.height() <= 240, name


def test_every_control_has_a_tooltip(docks):
    bare = [
        (name, type(control).__name__, control.accessibleName())
        for name, dock in docks.items()
        for control in dock.findChildren(QWidget)
        if isinstance(control, CONTROLS)
        and not control.toolTip()
        and not isinstance(control.parentWidget(), INNER)
    ]
    assert bare == []


def test_plots_follow_a_change_of_theme(viewer, docks, qtbot):
    def lightness():
        compare, validation = docks["Compare maps"].plot, docks["Symmetry"].validation.plot
        axes = [plot.plot.getAxis(side) for plot in (compare, validation) for side in SIDES]
        axes += [
            plot.getAxis(side) for plot in docks["Convergence"].iterations.plots for side in SIDES
        ]
        return [axis.textPen().color().lightness() for axis in axes]

    def backgrounds():
        """Lightness of what is painted in the corner of each plot that has axes."""
        for name in ("Compare maps", "Symmetry"):
            docks[name].parentWidget().show()
        plots = [docks["Compare maps"].plot.plot, docks["Symmetry"].validation.plot.plot]
        qtbot.wait(50)
        return [plot.grab().toImage().pixelColor(2, 2).lightness() for plot in plots]

    before = viewer.theme
    viewer.theme = "dark"
    assert min(lightness()) > 150
    assert max(backgrounds()) < 100
    viewer.theme = "light"
    assert max(lightness()) < 100
    assert min(backgrounds()) > 150
    viewer.theme = before
