"""Actions of a user in the dock *Initial model*."""

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QStyle, QStyleOptionComboBox

from napari_ini3d.plugin.layers import density_scale_of


def densities(layer):
    """Return the densities of a layer, without the factor for display."""
    return layer.data / density_scale_of(layer.metadata)


def until(qtbot, condition, timeout=60_000):
    qtbot.waitUntil(lambda: bool(condition()), timeout=timeout)


def press(qtbot, button):
    assert button.isEnabled(), button.text()
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)


def choose(dock, qtbot, star):
    """Choose particles, and wait until they are checked."""
    dock.form.set_particles(star)
    until(qtbot, lambda: dock.summary.preview is not None and dock.summary.preview.complete)


def fill_in(dock, qtbot, star, folder, **settings):
    """Fill in the form of a run."""
    choose(dock, qtbot, star)
    dock.form.output.text = str(folder)
    for name, value in settings.items():
        dock.form.fields[name].value = value


def do_runs(dock, qtbot, star, *folders):
    """Do a short run in each folder, then look at the list of runs."""
    for seed, folder in enumerate(folders):
        fill_in(dock, qtbot, star, folder, iterations=3, seed=seed)
        press(qtbot, dock.panel.run)
        until(qtbot, lambda: not dock.session.busy)
    show_runs(dock)


def show_runs(widget) -> None:
    """Show the tab *Runs* of the dock *Initial model*."""
    (number,) = (i for i in range(widget.tabs.count()) if widget.tabs.tabText(i) == "Runs")
    widget.tabs.setCurrentIndex(number)


def room_for_text(combo):
    """Return the width that a list of choices has for its text, pixels."""
    option = QStyleOptionComboBox()
    combo.initStyleOption(option)
    control, part = QStyle.ComplexControl.CC_ComboBox, QStyle.SubControl.SC_ComboBoxEditField
    return combo.style().subControlRect(control, option, part, combo).width()


def longest_text(combo):
    """Return the width of the widest choice, pixels."""
    texts = [combo.itemText(i) for i in range(combo.count())]
    return max(combo.fontMetrics().horizontalAdvance(text) for text in texts)
