"""Angular distribution of the particles on the sphere, in Mollweide's equal-area projection.

Directions follow RELION: rot is the longitude, 0 in the middle and positive to the right; tilt is
measured from the pole at the top. Equal areas are equal solid angles, so that preferred views
appear in proportion.
"""

from __future__ import annotations

import functools
import math

import numpy as np
import pyqtgraph as pg
from qtpy.QtCore import QPointF, QRectF, Qt
from qtpy.QtGui import QColor, QImage, QLinearGradient, QMouseEvent, QPainter, QPen, QPolygonF
from scipy.spatial import cKDTree

from napari_ini3d._types import AnyArray, Float64, FloatArray, IntArray
from napari_ini3d.geometry import pixel_directions
from napari_ini3d.plugin.convergence.panel import Panel, write, write_instead
from napari_ini3d.plugin.session import ALL_CLASSES
from napari_ini3d.plugin.viewer import PlotStyle, small_font

COLOURS = "cividis"  # readable by the colour-blind: lightness is monotonic

_HEIGHT = 200  # pixels of the image, which is scaled to the panel
_LEAST_SIDE = 4  # of the HEALPix grid
_LEAST_MEAN = 10.0  # particles per pixel, below which pixels are merged
_LEGEND = 40  # pixels
_EMPTY = "This iteration has no viewing directions."


class AngularDistribution(Panel):
    """Viewing directions of one class or all, relative to uniform coverage."""

    def __init__(self, style: PlotStyle) -> None:
        super().__init__(style)
        self.relative: FloatArray = np.zeros(0)
        self._image: QImage | None = None
        self._weight = 0.0
        self.setFont(small_font())
        self.setAccessibleName("Viewing directions on the sphere")

    def draw(self) -> None:
        """Draw the distribution of the shown iteration."""
        counts = self.view.read_pictures().get("view_counts")
        if counts is None:
            self.relative, self._image = np.zeros(0), None
        else:
            self.show_counts(self._of_class(counts))
        self.update()

    def show_counts(self, counts: FloatArray) -> None:
        """Draw the distribution from the weight per HEALPix pixel (M,)."""
        self._weight = float(np.sum(counts))
        self.relative = relative_coverage(pool_directions(counts))
        side = math.isqrt(len(self.relative) // 12)
        pixels = sphere_pixels(side, _HEIGHT)
        lookup = pg.colormap.get(COLOURS).getLookupTable(nPts=256, alpha=True)
        scaled = np.rint(255 * self.relative / max(self.relative.max(), 1e-9)).astype(int)
        rgba = np.zeros((*pixels.shape, 4), np.uint8)
        rgba[pixels >= 0] = lookup[scaled[pixels[pixels >= 0]]]
        height, width = pixels.shape
        self._image = QImage(
            rgba.tobytes(), width, height, 4 * width, QImage.Format.Format_RGBA8888
        ).copy()
        self.update()

    def text_at(self, position: QPointF) -> str:
        """Return direction and weight at a position of the panel."""
        place = self._sphere_place()
        x = 2 * (position.x() - place.center().x()) / max(place.width(), 1)
        y = -2 * (position.y() - place.center().y()) / max(place.height(), 1)
        direction = mollweide_direction(np.array([x]), np.array([y]))[0]
        if not len(self.relative) or not np.isfinite(direction).all():
            return ""
        side = math.isqrt(len(self.relative) // 12)
        _, pixel = cKDTree(pixel_directions(side)).query(direction)
        rot = math.degrees(math.atan2(direction[1], direction[0]))
        tilt = math.degrees(math.acos(np.clip(direction[2], -1, 1)))
        weight = self.relative[int(pixel)]
        return f"rot {rot:.0f}°, tilt {tilt:.0f}°: {weight:.1f} times uniform coverage"

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Show the values under the mouse."""
        self.hovered.emit(self.text_at(event.position()))

    def paintEvent(self, _event: object) -> None:
        """Paint sphere, grid and legend."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        if self._image is None:
            write_instead(painter, self, _EMPTY)
        else:
            place = self._sphere_place()
            painter.drawImage(place, self._image)
            self._paint_grid(painter, place)
            self._paint_legend(painter, place)
        painter.end()

    def _of_class(self, counts: AnyArray) -> FloatArray:
        if self.view.class_index == ALL_CLASSES or self.view.class_index >= len(counts):
            return np.asarray(counts.sum(axis=0))
        return np.asarray(counts[self.view.class_index])

    def _sphere_place(self) -> QRectF:
        """Return the rectangle around the ellipse, twice as wide as high."""
        box = QRectF(self.rect()).adjusted(10, 24, -10, -_LEGEND - 30)
        width = min(box.width(), 2 * box.height())
        place = QRectF(0, 0, width, width / 2)
        place.moveCenter(box.center())
        return place

    def _paint_grid(self, painter: QPainter, place: QRectF) -> None:
        painter.setPen(QPen(QColor(self.plot_style.faint), 1, Qt.PenStyle.DotLine))
        angles = np.linspace(-90, 90, 61)
        for rot in range(-120, 180, 60):
            self._paint_line(painter, place, np.full(61, float(rot)), angles)
        for latitude in (-60, -30, 0, 30, 60):
            self._paint_line(painter, place, np.linspace(-180, 180, 61), np.full(61, latitude))
        painter.setPen(QPen(QColor(self.plot_style.faint), 1.5))
        painter.drawEllipse(place)
        painter.setPen(QColor(self.plot_style.text))
        top = QRectF(place.left(), place.top() - 20, place.width(), 18)
        write(painter, top, "tilt 0°")
        bottom = QRectF(place.left(), place.bottom() + 2, place.width(), 18)
        write(painter, bottom, "tilt 180°")

    @staticmethod
    def _paint_line(
        painter: QPainter, place: QRectF, longitude: FloatArray, latitude: FloatArray
    ) -> None:
        x, y = mollweide_position(longitude, latitude)
        points = [
            QPointF(
                place.center().x() + a * place.width() / 2,
                place.center().y() - b * place.height() / 2,
            )
            for a, b in zip(x, y, strict=True)
        ]
        painter.drawPolyline(QPolygonF(points))

    def _paint_legend(self, painter: QPainter, place: QRectF) -> None:
        highest = float(self.relative.max())
        bar = QRectF(0, 0, min(place.width() - 90, 240), 10)
        bar.moveCenter(QPointF(place.center().x(), place.bottom() + 34))
        gradient = QLinearGradient(bar.left(), 0, bar.right(), 0)
        table = pg.colormap.get(COLOURS).getLookupTable(nPts=16)
        for share, colour in zip(np.linspace(0, 1, 16), table, strict=True):
            gradient.setColorAt(float(share), QColor(*map(int, colour[:3])))
        painter.fillRect(bar, gradient)
        painter.setPen(QColor(self.plot_style.text))
        self._paint_tick(painter, bar, 0.0, "0")
        if highest > 2:
            self._paint_tick(painter, bar, 1 / highest, "1")
        self._paint_tick(painter, bar, 1.0, f"{highest:.1f} × uniform")
        unseen = 100 * float(np.mean(self.relative == 0))
        text = f"{self._weight:.0f} particles · {unseen:.0f} % of directions empty"
        below = QRectF(0, bar.bottom() + 18, self.width(), 18)
        write(painter, below, text)

    @staticmethod
    def _paint_tick(painter: QPainter, bar: QRectF, share: float, text: str) -> None:
        x = bar.left() + share * bar.width()
        painter.drawLine(QPointF(x, bar.bottom()), QPointF(x, bar.bottom() + 3))
        box = QRectF(x - 60, bar.bottom() + 3, 120, 14)
        write(painter, box, text)


def relative_coverage(counts: FloatArray) -> FloatArray:
    """Return weights (M,) of pixels of equal area divided by their mean."""
    mean = float(np.mean(counts))
    return np.asarray(counts) / mean if mean > 0 else np.zeros(len(counts))


def pool_directions(counts: FloatArray) -> FloatArray:
    """Merge groups of four neighbouring pixels until each has enough particles on average.

    Parameters
    ----------
    counts : (12 n²,)
        In nested order: the four children of a pixel follow each other.
    """
    pooled = np.asarray(counts, dtype=np.float64)
    while len(pooled) > 12 * _LEAST_SIDE**2 and pooled.mean() < _LEAST_MEAN:
        pooled = pooled.reshape(-1, 4).sum(axis=1)
    return pooled


@functools.lru_cache(maxsize=4)
def sphere_pixels(side: int, height: int) -> IntArray:
    """Return the HEALPix pixel (nested) at each position of an image; -1 outside the sphere.

    Parameters
    ----------
    side : int
        Of the HEALPix grid.
    height : int
        Of the image, which is twice as wide.

    Returns
    -------
    (height, 2 height) int
    """
    y, x = np.mgrid[:height, : 2 * height]
    directions = mollweide_direction((x + 0.5) / height - 1, 1 - 2 * (y + 0.5) / height)
    inside = np.isfinite(directions).all(axis=-1)
    pixels = np.full(inside.shape, -1)
    _, pixels[inside] = cKDTree(pixel_directions(side)).query(directions[inside])
    return pixels


def mollweide_direction(x: FloatArray, y: FloatArray) -> FloatArray:
    """Return the unit vectors (..., 3) at positions of the projection; NaN outside its ellipse.

    With sin θ = y: latitude asin((2θ + sin 2θ)/π), longitude π x / cos θ (Snyder, Map
    Projections, USGS 1395, p. 251).

    Parameters
    ----------
    x, y : (...)
        -1 to 1 from left to right and from bottom to top.
    """
    inside = x**2 + y**2 < 1
    theta = np.arcsin(np.where(inside, y, 0))
    latitude = np.arcsin((2 * theta + np.sin(2 * theta)) / np.pi)
    longitude = np.pi * np.where(inside, x, 0) / np.cos(theta)
    vectors = [
        np.cos(latitude) * np.cos(longitude),
        np.cos(latitude) * np.sin(longitude),
        np.sin(latitude),
    ]
    return np.where(inside[..., None], np.stack(vectors, axis=-1), np.nan)


def mollweide_position(longitude: FloatArray, latitude: FloatArray) -> tuple[Float64, Float64]:
    """Return the positions (x, y), -1 to 1, of directions in degrees; the inverse of the above."""
    target = np.pi * np.sin(np.deg2rad(latitude))
    theta = np.deg2rad(np.asarray(latitude, dtype=np.float64))
    for _ in range(30):  # Newton's method; it converges slowly only at the poles
        slope = 2 + 2 * np.cos(2 * theta)
        step = (2 * theta + np.sin(2 * theta) - target) / np.maximum(slope, 1e-9)
        theta = np.clip(theta - step, -np.pi / 2, np.pi / 2)
    return np.asarray(longitude) / 180 * np.cos(theta), np.sin(theta)
