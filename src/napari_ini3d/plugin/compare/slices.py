"""Central slices of maps, perpendicular and parallel to an axis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyqtgraph as pg
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QGridLayout, QLabel, QWidget
from scipy.ndimage import map_coordinates

from napari_ini3d._types import Float64, FloatArray
from napari_ini3d.symmetry import shortest_rotation

_HEADINGS = ("perpendicular", "parallel", "parallel, rotated 90°")
_SIDE = 108  # pixels


@dataclass(frozen=True, eq=False)
class SlicedMap:
    """A map with the densities of black and white.

    Attributes
    ----------
    name : str
    volume : (n, n, n)
    limits : (float, float)
        Densities that are black and white.
    """

    name: str
    volume: FloatArray
    limits: tuple[float, float]


def central_slices(volume: FloatArray, axis: Sequence[float]) -> Float64:
    """Return three slices through voxel n // 2: one perpendicular to an axis, two that contain it.

    Parameters
    ----------
    volume : (n, n, n)
        Real space (z, y, x).
    axis : (3,)
        Unit vector (x, y, z).

    Returns
    -------
    (3, n, n) float64
        Row 0 is the lowest; in the last two the axis points up.
    """
    n = volume.shape[0]
    rotation = shortest_rotation(np.array([0.0, 0.0, 1.0]), np.asarray(axis, dtype=np.float64))
    right, up, along = rotation.T
    line = np.arange(n) - n // 2
    slices = []
    for horizontal, vertical in ((right, up), (right, along), (up, along)):
        points = line[None, :, None] * horizontal + line[:, None, None] * vertical  # (n, n, 3)
        places = np.moveaxis(points[..., ::-1], -1, 0) + n // 2
        slices.append(map_coordinates(volume, places, output=np.float64, order=1))
    return np.array(slices)


class SlicesView(QWidget):
    """A row of slices for each map, perpendicular and parallel to an axis."""

    def __init__(self) -> None:
        super().__init__()
        self._grid = QGridLayout(self)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setSpacing(2)
        self.images: list[list[pg.ImageItem]] = []
        self._maps: Sequence[SlicedMap] = ()

    def show_maps(self, maps: Sequence[SlicedMap], axis: Sequence[float]) -> None:
        """Show slices of maps for an axis (x, y, z)."""
        if [m.name for m in maps] != [m.name for m in self._maps]:
            self._lay_out(maps)
        self._maps = maps
        for row, sliced in zip(self.images, maps, strict=True):
            for image, values in zip(row, central_slices(sliced.volume, axis), strict=True):
                image.setImage(values, levels=sliced.limits)

    def show_axis(self, axis: Sequence[float]) -> None:
        """Show slices of the same maps for another axis."""
        self.show_maps(self._maps, axis)

    def clear(self) -> None:
        """Show nothing."""
        self._lay_out(())
        self._maps = ()

    def _lay_out(self, maps: Sequence[SlicedMap]) -> None:
        while self._grid.count():
            widget = self._grid.takeAt(0).widget()
            if widget is not None:
                widget.setParent(None)
                widget.deleteLater()
        self.images = []
        for column, heading in enumerate(_HEADINGS if maps else ()):
            self._grid.addWidget(_label(heading), 0, column)
        for row, sliced in enumerate(maps):
            self._grid.addWidget(_label(sliced.name), 2 * row + 1, 0, 1, 3)
            self.images.append([self._add_image(2 * row + 2, column) for column in range(3)])

    def _add_image(self, row: int, column: int) -> pg.ImageItem:
        view = pg.GraphicsLayoutWidget()
        view.setBackground(None)
        view.ci.layout.setContentsMargins(0, 0, 0, 0)
        view.setFixedSize(_SIDE, _SIDE)
        view.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        box = view.addViewBox(lockAspect=True, enableMouse=False, enableMenu=False)
        image = pg.ImageItem(axisOrder="row-major")
        box.addItem(image)
        box.setDefaultPadding(0.0)
        self._grid.addWidget(view, row, column)
        return image


def _label(text: str) -> QLabel:
    label = QLabel(text)
    label.setAlignment(Qt.AlignmentFlag.AlignCenter)
    return label
