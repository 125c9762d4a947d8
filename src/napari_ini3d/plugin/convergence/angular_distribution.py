"""Angular distribution of the particles on the sphere, in Mollweide's equal-area projection.

Directions follow RELION: rot is the longitude, 0 in the middle and positive to the right; tilt is
measured from the pole at the top. Equal areas are equal solid angles, so that preferred views
appear in proportion.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence

import numpy as np
import pyqtgraph as pg
from qtpy.QtCore import QPointF, QRectF, Qt, Signal
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
_LABEL_BACKGROUND = QColor(0, 0, 0, 110)
_EMPTY = "This iteration has no viewing directions."


class AngularDistribution(Panel):
    """Viewing directions of one class or all, relative to uniform coverage.

    Signals
    -------
    direction_clicked : (3,) float
        A direction of the sphere, unit vector (x, y, z).
    """

    direction_clicked = Signal(object)

    def __init__(self, style: PlotStyle) -> None:
        super().__init__(style)
        self._region: tuple[FloatArray, float] | None = None
        self._title = ""
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
            self.show_counts(self._of_class(counts), self._class_name())
        self.update()

    def show_counts(self, counts: FloatArray, title: str = "") -> None:
        """Draw the distribution from the weight per HEALPix pixel (M,), with a title."""
        self._title = title
        self._weight = float(np.sum(counts))
        self.relative = relative_coverage(pool_directions(counts))
        side = math.isqrt(len(self.relative) // 12)
        pixels = sphere_pixels(side, _HEIGHT)
        lookup = pg.colormap.get(COLOURS).getLookupTable(nPts=256, alpha=True)
        highest = max(float(self.relative.max()), 1e-9)
        scaled = np.rint(255 * self.relative / highest).astype(int)
        rgba = np.zeros((*pixels.shape, 4), np.uint8)
        rgba[pixels >= 0] = lookup[scaled[pixels[pixels >= 0]]]
        height, width = pixels.shape
        self._image = QImage(
            rgba.tobytes(), width, height, 4 * width, QImage.Format.Format_RGBA8888
        ).copy()
        self.update()

    def mark_region(self, direction: FloatArray | None, radius: float = 0.0) -> None:
        """Mark the directions within a radius (degrees) of one (x, y, z); None marks none."""
        self._region = None if direction is None else (direction, radius)
        self.update()

    def direction_at(self, position: QPointF) -> FloatArray | None:
        """Return the direction (x, y, z) at a position of the panel; None outside the sphere."""
        place = self.sphere_place()
        x = 2 * (position.x() - place.center().x()) / max(place.width(), 1)
        y = -2 * (position.y() - place.center().y()) / max(place.height(), 1)
        direction = mollweide_direction(np.array([x]), np.array([y]))[0]
        return direction if np.isfinite(direction).all() else None

    def text_at(self, position: QPointF) -> str:
        """Return direction and weight at a position of the panel."""
        direction = self.direction_at(position)
        if not len(self.relative) or direction is None:
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

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Tell which direction was clicked."""
        direction = self.direction_at(event.position())
        if direction is not None and len(self.relative):
            self.direction_clicked.emit(direction)

    def paintEvent(self, _event: object) -> None:
        """Paint sphere, grid and legend."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        if self._image is None:
            write_instead(painter, self, _EMPTY)
        else:
            place = self.sphere_place()
            painter.drawImage(place, self._image)
            self._paint_grid(painter, place)
            self._paint_labels(painter, place)
            self._paint_region(painter, place)
            self._paint_legend(painter, place)
        painter.end()

    def _class_name(self) -> str:
        """Return which class is shown; empty if there is only one."""
        if self.view.n_classes < 2:
            return ""
        k = self.view.class_index
        return "All classes" if k == ALL_CLASSES else f"Class {k + 1}"

    def _of_class(self, counts: AnyArray) -> FloatArray:
        if self.view.class_index == ALL_CLASSES or self.view.class_index >= len(counts):
            return np.asarray(counts.sum(axis=0))
        return np.asarray(counts[self.view.class_index])

    def sphere_place(self) -> QRectF:
        """Return the rectangle around the ellipse, twice as wide as high."""
        box = QRectF(self.rect()).adjusted(10, 24, -10, -_LEGEND - 36)
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
        if self._title:
            left = QRectF(4, place.top() - 20, place.width() / 2, 18)
            write(painter, left, self._title, Qt.AlignmentFlag.AlignLeft)

    def _paint_labels(self, painter: QPainter, place: QRectF) -> None:
        """Label rot along the equator and tilt along the middle meridian."""
        labels = [(0.0, 0.0, "rot 0°")]
        labels += [(float(rot), 0.0, f"{rot}°") for rot in (-120, 120, -60, 60)]
        labels += [(0.0, 90.0 - tilt, f"tilt {tilt}°") for tilt in (60, 120, 30, 150)]
        longitude, latitude = (np.array([label[i] for label in labels]) for i in (0, 1))
        points = self.points(place, longitude, latitude)
        for box, text in place_labels(points, [label[2] for label in labels], painter):
            painter.fillRect(box, _LABEL_BACKGROUND)
            painter.setPen(QColor("white"))
            write(painter, box, text)

    def _paint_region(self, painter: QPainter, place: QRectF) -> None:
        """Paint the border of the marked region."""
        if self._region is None:
            return
        directions = circle_on_sphere(*self._region)
        longitude = np.rad2deg(np.arctan2(directions[:, 1], directions[:, 0]))
        latitude = np.rad2deg(np.arcsin(np.clip(directions[:, 2], -1, 1)))
        painter.setPen(QPen(QColor(self.plot_style.mark), 2))
        for point in self.points(place, longitude, latitude):
            painter.drawPoint(point)

    def _paint_line(
        self, painter: QPainter, place: QRectF, longitude: FloatArray, latitude: FloatArray
    ) -> None:
        painter.drawPolyline(QPolygonF(self.points(place, longitude, latitude)))

    @staticmethod
    def points(place: QRectF, longitude: FloatArray, latitude: FloatArray) -> list[QPointF]:
        """Return where directions (degrees) are on the panel."""
        x, y = mollweide_position(longitude, latitude)
        return [
            QPointF(
                place.center().x() + a * place.width() / 2,
                place.center().y() - b * place.height() / 2,
            )
            for a, b in zip(x, y, strict=True)
        ]

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


def place_labels(
    points: Sequence[QPointF], texts: Sequence[str], painter: QPainter
) -> list[tuple[QRectF, str]]:
    """Return the places of labels above points, without those that others would cover."""
    placed: list[tuple[QRectF, str]] = []
    for point, text in zip(points, texts, strict=True):
        box = QRectF(0, 0, painter.fontMetrics().horizontalAdvance(text) + 6, 14)
        box.moveCenter(QPointF(point.x(), point.y() - 8))
        if not any(box.intersects(other) for other, _ in placed):
            placed.append((box, text))
    return placed


def circle_on_sphere(direction: FloatArray, radius: float) -> Float64:
    """Return directions (240, 3) at an angle (degrees) to one (x, y, z)."""
    first = np.cross(direction, np.eye(3)[int(np.argmin(np.abs(direction)))])
    first /= np.linalg.norm(first)
    second = np.cross(direction, first)
    turn = np.linspace(0, 2 * np.pi, 240, endpoint=False)[:, None]
    around = np.cos(turn) * first + np.sin(turn) * second
    angle = np.deg2rad(radius)
    return np.asarray(np.cos(angle) * np.asarray(direction) + np.sin(angle) * around)


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
