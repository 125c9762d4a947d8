"""Base of the tabs in the dock *Convergence*, which are drawn only while visible."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyqtgraph as pg
from qtpy.QtCore import QEvent, QObject, QPoint, QRectF, QSize, Qt, Signal
from qtpy.QtGui import QColor, QImage, QPainter, QRegion, QTextOption
from qtpy.QtWidgets import QSizePolicy, QVBoxLayout, QWidget

from napari_ini3d.plugin.session import RunView
from napari_ini3d.plugin.viewer import PlotStyle

_PRINT_SCALE = 3  # pixels of an exported picture per pixel of the screen


class Panel(QWidget):
    """A view of a run; if it is hidden, it is drawn when it is shown.

    Signals
    -------
    hovered : str
        Description of what is under the mouse, or empty.
    iteration_clicked : int
        An iteration to show.
    """

    hovered = Signal(str)
    iteration_clicked = Signal(int)

    def __init__(self, style: PlotStyle) -> None:
        super().__init__()
        self.plot_style = style
        self.view = RunView()
        self.draws = 0
        self._is_stale = True
        self.setMouseTracking(True)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)

    def show_run(self, view: RunView) -> None:
        """Show a run: at once, or when the panel becomes visible."""
        self.view = view
        self._is_stale = True
        self._draw_if_visible()

    def set_style(self, style: PlotStyle) -> None:
        """Change the colours."""
        self.plot_style = style
        self.apply_style()
        self._is_stale = True
        self._draw_if_visible()

    def apply_style(self) -> None:
        """Apply the colours to parts that `draw` does not draw."""

    def draw(self) -> None:
        """Draw `view`, if that takes more than painting."""

    def render_picture(self) -> QImage:
        """Return the panel as an image for print."""
        image = QImage(self.size() * _PRINT_SCALE, QImage.Format.Format_RGB32)
        image.setDevicePixelRatio(_PRINT_SCALE)
        image.fill(QColor(self.plot_style.background))
        self.render(image, QPoint(), QRegion(), QWidget.RenderFlag.DrawChildren)
        return image

    def minimumSizeHint(self) -> QSize:
        """Return the least readable size."""
        return QSize(260, 240)

    def sizeHint(self) -> QSize:
        """Return a size that leaves room for the canvas."""
        return QSize(360, 420)

    def showEvent(self, event: object) -> None:
        """Draw the panel if the run has changed."""
        super().showEvent(event)
        self._draw_if_visible()

    def leaveEvent(self, event: object) -> None:
        """Clear the description."""
        super().leaveEvent(event)
        self.hovered.emit("")

    def _draw_if_visible(self) -> None:
        if self._is_stale and self.isVisible():
            self._is_stale = False
            self.draws += 1
            self.draw()


class PlotPanel(Panel):
    """A panel of pyqtgraph plots that follow the mouse.

    Attributes
    ----------
    graphics : pyqtgraph.GraphicsLayoutWidget
        Holds the plots.
    column : QVBoxLayout
        The plots and what is below them.
    """

    def __init__(self, style: PlotStyle) -> None:
        super().__init__(style)
        self.graphics = pg.GraphicsLayoutWidget()
        self.graphics.ci.layout.setContentsMargins(2, 2, 6, 2)
        self.column = QVBoxLayout(self)
        self.column.setContentsMargins(0, 0, 0, 0)
        self.column.setSpacing(0)
        self.column.addWidget(self.graphics, 1)
        self.graphics.viewport().installEventFilter(self)

    def follow_mouse(self, moved: Callable[[Any], None], clicked: Callable[[Any], None]) -> None:
        """Call functions with the place in the scene when the mouse moves, and at each click."""
        self.graphics.scene().sigMouseMoved.connect(moved)
        self.graphics.scene().sigMouseClicked.connect(clicked)

    def on_left(self) -> None:
        """Clear the reading after the mouse has left the plots."""
        self.hovered.emit("")

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Notice that the mouse leaves the plots."""
        if event.type() == QEvent.Type.Leave:
            self.on_left()
        return bool(super().eventFilter(watched, event))


def write(
    painter: QPainter,
    place: QRectF,
    text: str,
    alignment: Qt.AlignmentFlag = Qt.AlignmentFlag.AlignCenter,
    *,
    wrap: bool = False,
) -> None:
    """Write text into a rectangle, in the colour of the pen."""
    option = QTextOption(alignment)
    mode = QTextOption.WrapMode
    option.setWrapMode(mode.WordWrap if wrap else mode.NoWrap)
    painter.drawText(place, text, option)


def write_instead(painter: QPainter, panel: Panel, text: str) -> None:
    """Write a text into the middle of an empty panel."""
    painter.setPen(QColor(panel.plot_style.text))
    write(painter, QRectF(panel.rect()).adjusted(20, 0, -20, 0), text, wrap=True)
