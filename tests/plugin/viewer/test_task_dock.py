"""Parts that docks share."""

from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_ini3d.plugin.viewer.task_dock import make_text_label


def test_a_text_that_becomes_shorter_takes_less_room(qtbot):
    page = QWidget()
    qtbot.addWidget(page)
    label = make_text_label("a long text " * 30)
    column = QVBoxLayout(page)
    column.addWidget(label)
    column.addStretch(1)
    page.resize(200, 600)
    page.show()
    qtbot.waitUntil(lambda: label.height() > 100)
    label.setText("short")
    qtbot.waitUntil(lambda: label.height() < 40)
    label.setText("a long text " * 30)
    qtbot.waitUntil(lambda: label.height() == label.heightForWidth(label.width()) > 100)
