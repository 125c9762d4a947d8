"""Central slices and projections of each class at an iteration."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from qtpy.QtCore import QPointF, QRectF, Qt
from qtpy.QtGui import QColor, QImage, QMouseEvent, QPainter

from napari_ini3d._types import AnyArray
from napari_ini3d.plugin.convergence.panel import Panel, write, write_instead
from napari_ini3d.plugin.viewer import PlotStyle, small_font

_AXES = ("z", "y", "x")
_ACROSS = {"z": ("x", "y"), "y": ("x", "z"), "x": ("y", "z")}  # right and up in the picture
_EMPTY = "This iteration has no slices."
_GAP, _LABEL = 3, 16  # pixels
_LEFT = Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter


Picture = tuple[int, str, str]
"""Class (from 0), "slice" or "projection", and axis."""
Row = tuple[str, list[Picture]]


@dataclass(frozen=True, slots=True)
class Arrangement:
    """Positions of titles and images, and the side of an image."""

    side: float
    titles: list[tuple[str, QRectF]]
    pictures: list[tuple[Picture, QRectF]]


class MapPictures(Panel):
    """Central slices and projections along z, y and x, of one class or all.

    Each image has its own grey scale.
    """

    def __init__(self, style: PlotStyle) -> None:
        super().__init__(style)
        self._images: dict[Picture, QImage] = {}
        self.setFont(small_font())
        self.setAccessibleName("Central slices and projections")

    def draw(self) -> None:
        """Read the images of the shown iteration."""
        found = self.view.read_pictures()
        slices, sums = found.get("slices"), found.get("projections")
        self._images = {}
        if slices is not None and sums is not None:
            single = self.view.single_class
            for k in range(len(slices)) if single is None else (min(single, len(slices) - 1),):
                for axis, name in enumerate(_AXES):
                    self._images[k, "slice", name] = _to_image(slices[k, axis])
                    self._images[k, "projection", name] = _to_image(sums[k, axis])
        self.update()

    def text_at(self, position: QPointF) -> str:
        """Return a description of the image at a position of the panel."""
        for picture, place in self.arrange().pictures:
            if place.contains(position):
                return self._describe(*picture)
        return ""

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Show what is under the mouse."""
        self.hovered.emit(self.text_at(event.position()))

    def paintEvent(self, _event: object) -> None:
        """Paint the images with their labels."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        if not self._images:
            write_instead(painter, self, _EMPTY)
        painter.setPen(QColor(self.plot_style.text))
        arrangement = self.arrange()
        for title, place in arrangement.titles:
            write(painter, place, title, _LEFT)
        for picture, place in arrangement.pictures:
            painter.drawImage(place, self._images[picture])
        painter.end()

    def arrange(self) -> Arrangement:
        """Return the arrangement with the largest images."""
        classes = list(dict.fromkeys(k for k, _, _ in self._images))
        choices = [_by_kind(classes), _in_lines(classes)]
        if len(classes) == 1:
            choices.append(_by_axis(classes[0]))
        box = QRectF(self.rect()).adjusted(_GAP, 0, -_GAP, -_GAP)
        return max((_place(rows, box) for rows in choices), key=lambda found: found.side)

    def _describe(self, k: int, kind: str, axis: str) -> str:
        right, up = _ACROSS[axis]
        what = (
            f"central slice perpendicular to {axis}"
            if kind == "slice"
            else f"projection along {axis}"
        )
        of = f"Class {k + 1}, {what}" if self.view.n_classes > 1 else what.capitalize()
        return f"{of}: {right} to the right, {up} upwards{self._width_text()}"

    def _width_text(self) -> str:
        shown = self.view.shown
        return "" if shown is None else f"; {shown.box_size * shown.voxel_size:.0f} Å wide"


def _by_kind(classes: list[int]) -> list[Row]:
    """Slices in one row, projections in the next."""
    return [
        (f"{_class(k, classes)}{title} z, y, x", [(k, kind, axis) for axis in _AXES])
        for k in classes
        for kind, title in (
            ("slice", "slices perpendicular to"),
            ("projection", "projections along"),
        )
    ]


def _by_axis(k: int) -> list[Row]:
    """Slice and projection side by side, one row per axis."""
    return [
        (
            f"slice perpendicular to {axis}, projection along it",
            [(k, "slice", axis), (k, "projection", axis)],
        )
        for axis in _AXES
    ]


def _in_lines(classes: list[int]) -> list[Row]:
    """All images of a class in one row."""
    return [
        (
            f"{_class(k, classes)}slices and projections, z, y, x",
            [(k, kind, axis) for kind in ("slice", "projection") for axis in _AXES],
        )
        for k in classes
    ]


def _class(k: int, classes: list[int]) -> str:
    return f"class {k + 1}, " if len(classes) > 1 else ""


def _place(rows: list[Row], box: QRectF) -> Arrangement:
    """Place rows of squares with titles into a box, as large as possible."""
    if not rows:
        return Arrangement(0.0, [], [])
    columns = max(len(row) for _, row in rows)
    wide = (box.width() + _GAP) / columns - _GAP
    high = box.height() / len(rows) - _LABEL - _GAP
    side = max(min(wide, high), 8.0)
    left = box.left() + (box.width() - columns * (side + _GAP) + _GAP) / 2
    found = Arrangement(side, [], [])
    for number, (title, row) in enumerate(rows):
        top = box.top() + number * (side + _LABEL + _GAP)
        found.titles.append(
            (title[:1].upper() + title[1:], QRectF(left, top, box.right() - left, _LABEL))
        )
        for column, picture in enumerate(row):
            place = QRectF(left + column * (side + _GAP), top + _LABEL, side, side)
            found.pictures.append((picture, place))
    return found


def _to_image(picture: AnyArray) -> QImage:
    """Return an array (m, m) as a grey image, with the first row at the bottom."""
    values = np.nan_to_num(picture[::-1].astype(np.float32))
    low, high = float(values.min()), float(values.max())
    grey = (255 * (values - low) / (high - low if high > low else 1)).round().astype(np.uint8)
    height, width = grey.shape
    return QImage(grey.tobytes(), width, height, width, QImage.Format.Format_Grayscale8).copy()
