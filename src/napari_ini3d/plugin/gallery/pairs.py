"""Images and their reprojections, side by side."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from qtpy.QtCore import QRectF, QSize, Qt
from qtpy.QtGui import QColor, QImage, QPainter
from qtpy.QtWidgets import QSizePolicy, QWidget

from napari_ini3d._types import AnyArray
from napari_ini3d.plugin.viewer import PlotStyle, small_font
from napari_ini3d.runs import GalleryImages

_LEAST_SIDE = 64  # pixels of an image on the screen
_GAP, _TEXT = 6, 28  # pixels; two lines
_CONTRAST = (1.0, 99.0)  # percentiles


class PairsView(QWidget):
    """Pairs of images: a particle, its reprojection to the right, and two lines of text below.

    Parameters
    ----------
    style : PlotStyle
    """

    def __init__(self, style: PlotStyle) -> None:
        super().__init__()
        self.plot_style = style
        self.texts: tuple[str, ...] = ()
        self.message = ""
        self._pairs: list[tuple[QImage, QImage]] = []
        self.setFont(small_font())
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setAccessibleName("Particles and their reprojections")

    @property
    def n_pairs(self) -> int:
        """Number of pairs that are shown."""
        return len(self._pairs)

    def show_pairs(self, found: GalleryImages, texts: Sequence[str]) -> None:
        """Show images and reprojections, each with its own contrast."""
        self._pairs = [
            (_to_picture(image), _to_picture(reprojection))
            for image, reprojection in zip(found.images, found.reprojections, strict=True)
        ]
        self.texts, self.message = tuple(texts), ""
        self.update()

    def show_message(self, text: str) -> None:
        """Show a text instead of pairs."""
        self._pairs, self.texts, self.message = [], (), text
        self.update()

    def minimumSizeHint(self) -> QSize:
        """Return the least size, with room for a pair."""
        return QSize(2 * _LEAST_SIDE + _GAP, _LEAST_SIDE + _TEXT)

    def paintEvent(self, _event: object) -> None:
        """Paint as many columns as make the images largest."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        painter.setPen(QColor(self.plot_style.text))
        if not self._pairs:
            area = QRectF(self.rect()).adjusted(12, 0, -12, 0)
            flags = int(Qt.AlignmentFlag.AlignCenter) | int(Qt.TextFlag.TextWordWrap)
            painter.drawText(area, flags, self.message)
            painter.end()
            return
        lines = [line for text in self.texts for line in text.splitlines()]
        longest = max(map(painter.fontMetrics().horizontalAdvance, lines), default=0)
        columns, side = best_columns(len(self._pairs), self.width(), self.height(), longest)
        cell = self.width() / columns
        for number, (pair, text) in enumerate(zip(self._pairs, self.texts, strict=True)):
            left = (number % columns) * cell
            top = (number // columns) * (side + _TEXT)
            for place, picture in enumerate(pair):
                painter.drawImage(QRectF(left + place * side, top, side - 1, side - 1), picture)
            below = QRectF(left, top + side, cell, _TEXT)
            painter.drawText(below, int(Qt.AlignmentFlag.AlignLeft), text)
        painter.end()


def best_columns(
    n_pairs: int, width: float, height: float, longest: float = 0.0
) -> tuple[int, float]:
    """Return the number of columns of pairs that makes the images largest, and their side.

    Parameters
    ----------
    n_pairs : int
    width, height : float
        Of all pairs, pixels.
    longest : float
        Line of text that is to fit below a pair, pixels.
    """
    most = max(1, min(n_pairs, int(width // (longest + _GAP))))

    def side_of(columns: int) -> float:
        rows = -(-n_pairs // columns)
        return min((width / columns - _GAP) / 2, height / rows - _TEXT)

    columns = max(range(1, most + 1), key=side_of)
    return columns, max(side_of(columns), 1.0)


def _to_picture(image: AnyArray) -> QImage:
    low, high = np.percentile(image, _CONTRAST)
    span = float(high - low) or 1.0
    grey = np.clip(255 * (image - low) / span, 0, 255).astype(np.uint8)
    height, width = grey.shape
    return QImage(grey.tobytes(), width, height, width, QImage.Format.Format_Grayscale8).copy()
