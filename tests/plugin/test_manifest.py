"""Widgets and commands of the manifest."""

import pytest
from npe2 import PluginManifest
from qtpy.QtWidgets import QWidget

MANIFEST = PluginManifest.from_distribution("napari-ini3d")
WIDGETS = MANIFEST.contributions.widgets or []
NAMES = [widget.display_name for widget in WIDGETS]


@pytest.mark.parametrize("name", NAMES)
def test_a_widget_is_built_by_its_command_and_fits_a_small_screen(viewer, qtbot, name):
    dock, widget = viewer.window.add_plugin_dock_widget("napari-ini3d", name)
    inner = widget if isinstance(widget, QWidget) else widget.native
    qtbot.waitUntil(inner.isVisible)
    assert inner.minimumSizeHint().height() <= 640, "a screen of 768 lines, less napari's own"
    assert inner.minimumSizeHint().width() <= 480
    viewer.window.remove_dock_widget(dock)


@pytest.mark.parametrize("name", NAMES)
def test_a_widget_can_be_closed_and_opened_again(viewer, qtbot, name):
    first, _ = viewer.window.add_plugin_dock_widget("napari-ini3d", name)
    viewer.window.remove_dock_widget(first)
    second, _ = viewer.window.add_plugin_dock_widget("napari-ini3d", name)
    qtbot.waitUntil(second.isVisible)


def test_every_widget_is_in_a_menu_besides_plugins():
    in_menus = {item.command for items in MANIFEST.contributions.menus.values() for item in items}
    assert {widget.command for widget in WIDGETS} <= in_menus


def test_every_command_is_used():
    contributions = MANIFEST.contributions
    used = {
        item.command
        for kind in ("widgets", "readers", "writers", "sample_data")
        for item in getattr(contributions, kind) or []
    }
    used |= {item.command for items in contributions.menus.values() for item in items}
    assert {command.id for command in contributions.commands} == used
