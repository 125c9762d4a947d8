"""Dock *Map display*: the level of a map, the volume that it encloses, and dust."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from weakref import ReferenceType, ref

import numpy as np
from napari.utils.notifications import show_error
from qtpy.QtCore import QSignalBlocker, QSize, Qt
from qtpy.QtWidgets import QComboBox, QDoubleSpinBox, QFormLayout, QVBoxLayout, QWidget
from superqt import QLabeledDoubleSlider

from napari_ini3d._types import Float32
from napari_ini3d.errors import Ini3dError, MapError, explain
from napari_ini3d.plugin.display.agreement import (
    half_maps_of,
    read_agreement,
    start_agreement,
    starts_of,
)
from napari_ini3d.plugin.viewer import (
    BY_AGREEMENT,
    COLOURINGS,
    Colouring,
    FittingWidget,
    LayerCombo,
    MapMesh,
    MapMeshes,
    MapToken,
    Task,
    TaskRunner,
    enclosed_mass,
    level_in_sigma,
    make_scrollable,
    make_text_label,
    recorded_axes,
    set_level_in_sigma,
    set_tooltip,
    shown_volume,
    unwrap_proxy,
    voxel_size_of,
)

if TYPE_CHECKING:
    import napari
    from napari.layers import Image

_WIDTH, _HEIGHT = 360, 220  # pixels
_MOST_SIGMA = 15.0  # shown at first; more if a map has a higher level
_MOST_DUST = 1e7  # Å³
_FOLLOWED = ("iso_threshold", "data", "set_data", "visible")  # events of the chosen map
_MEANINGS: dict[Colouring, str] = {
    "agreement": (
        "Local correlation of the two half-maps: blue 1, green 0.5, red 0 or less. Red parts are "
        "not supported by both halves of the particles."
    ),
    "starts": (
        "Mean local correlation of the other random starts with the best one, whose map this is: "
        "blue 1, green 0.5, red 0 or less. Red parts were not found by all starts."
    ),
    "copies": (
        "Density of the copies of a pseudo-symmetry: orange less than their mean, grey like it, "
        "blue more; full colour from 30 % on."
    ),
}
_COLOURINGS: dict[Colouring, str] = {
    "plain": "one colour",
    "height": "by height (Z)",
    "radius": "by distance from the centre",
    "agreement": "by agreement of the halves",
    "copies": "by density of the copies",
    "starts": "by agreement of the starts",
}


class MapDisplayWidget(FittingWidget):
    """The dock *Map display*, for the map that is chosen at its top.

    Parameters
    ----------
    napari_viewer : napari viewer
    """

    def __init__(self, napari_viewer: napari.Viewer) -> None:
        super().__init__()
        real: Any = unwrap_proxy(napari_viewer)
        self._viewer: ReferenceType[Any] = ref(real)
        self._followed: ReferenceType[Image] | None = None
        self.map = LayerCombo(self._viewer)
        self.level = QLabeledDoubleSlider(Qt.Orientation.Horizontal)
        self.dust = QDoubleSpinBox()
        self.colouring = QComboBox()
        self.enclosed = make_text_label()
        self.note = make_text_label()
        self.tasks = TaskRunner(self)
        self._lay_out()
        self.level.valueChanged.connect(self._on_slider)
        self.dust.valueChanged.connect(self._on_dust)
        self.colouring.activated.connect(self._on_colouring)
        self.map.chosen.connect(self._on_chosen)
        self.map.follow_shown()
        self.tasks.changed.connect(self._on_tasks)
        MapMeshes.of(real).updated.connect(self.refresh)
        self._on_chosen(self.map.layer)

    def refresh(self, *_: object) -> None:
        """Show the level of the chosen map, and the volume that it encloses."""
        layer, viewer = self.map.layer, self._viewer()
        for widget in (self.level, self.dust, self.colouring):
            widget.setEnabled(layer is not None)
        if layer is None or viewer is None:
            self.enclosed.setText("No map. Open one from napari's File menu.")
            return
        sigma = level_in_sigma(layer)
        with QSignalBlocker(self.level):
            self.level.setRange(min(0.0, sigma), max(_MOST_SIGMA, sigma))
            self.level.setValue(sigma)
        mesh = MapMeshes.of(viewer).find(layer)
        for widget in (self.dust, self.colouring):
            widget.setEnabled(mesh is not None)
        if mesh is not None and not self.tasks.busy:
            self.colouring.setCurrentIndex(COLOURINGS.index(mesh.colouring))
        self._show_meaning(mesh)
        self.enclosed.setText(self._describe(viewer, layer))

    def sizeHint(self) -> QSize:
        """Return a size that leaves room for the canvas on a small screen."""
        return QSize(_WIDTH, _HEIGHT)

    def _describe(self, viewer: Any, layer: Image) -> str:
        try:
            voxel_size = voxel_size_of(layer)
        except MapError as error:
            return str(error)
        mesh = MapMeshes.of(viewer).find(layer)
        if mesh is not None and mesh.busy:
            return "…"
        if mesh is not None and mesh.surface is not None:
            voxels = mesh.surface.enclosed
        else:
            try:
                volume = shown_volume(viewer, layer)
            except (Ini3dError, OSError) as error:
                return explain(error)
            voxels = int(np.count_nonzero(volume > layer.iso_threshold))
        enclosed = voxels * voxel_size**3
        hidden = "" if layer.visible else "This map is hidden. "
        mass = enclosed_mass(enclosed)
        return f"{hidden}Encloses {enclosed:,.0f} Å³, the volume of {mass:,.0f} kDa of protein."

    def _on_slider(self, sigma: float) -> None:
        layer = self.map.layer
        if layer is not None:
            set_level_in_sigma(layer, sigma)

    def _on_dust(self, volume: float) -> None:
        layer, viewer = self.map.layer, self._viewer()
        if layer is None or viewer is None:
            return
        mesh = MapMeshes.of(viewer).find(layer)
        if mesh is not None:
            mesh.hide_dust(math.ceil(volume / voxel_size_of(layer) ** 3))

    def _on_colouring(self, number: int) -> None:
        layer, viewer = self.map.layer, self._viewer()
        mesh = None if layer is None or viewer is None else MapMeshes.of(viewer).find(layer)
        self.tasks.cancel()
        if layer is None or mesh is None:
            return
        if COLOURINGS[number] == "copies":
            self._colour_by_copies(layer, mesh)
        elif COLOURINGS[number] in BY_AGREEMENT:
            self._colour_by_agreement(layer, mesh, COLOURINGS[number])
        else:
            mesh.colour_by(COLOURINGS[number])
        self._show_meaning(mesh)

    def _colour_by_agreement(self, layer: Image, mesh: MapMesh, colouring: Colouring) -> None:
        """Correlate half-maps or starts in a thread, or say why the map has none."""
        viewer = self._viewer()
        try:
            name, compute = self._agreement_of(layer, colouring)
        except Ini3dError as error:
            self.colouring.setCurrentIndex(COLOURINGS.index(mesh.colouring))
            show_error(str(error))
            return
        token = MapToken.of(viewer, layer)

        def then(agreement: Float32) -> None:
            if token.is_shown(viewer, layer):
                mesh.colour_by_agreement(agreement, colouring)
            self.refresh()

        self.tasks.start(Task(name), lambda _: compute(), then)

    def _agreement_of(
        self, layer: Image, colouring: Colouring
    ) -> tuple[str, Callable[[], Float32]]:
        """Return the name of a comparison, and a function that does it."""
        viewer, box_size = self._viewer(), layer.data.shape[-1]
        if colouring == "starts":
            starts = starts_of(viewer, layer)
            return "Correlating the starts", lambda: start_agreement(starts, box_size)
        files = half_maps_of(viewer, layer)
        return "Correlating the halves", lambda: read_agreement(files, box_size)

    def _colour_by_copies(self, layer: Image, mesh: MapMesh) -> None:
        """Colour by the copies of the pseudo-symmetry that was found, or say that none was."""
        found = recorded_axes(self._viewer(), layer)
        if found is None or not found.subunits:
            self.colouring.setCurrentIndex(COLOURINGS.index(mesh.colouring))
            show_error(
                f"no pseudo-symmetry was found in {layer.name}; press Detect in the dock Symmetry, "
                "and choose the group whose copies are to be compared"
            )
            return
        mesh.colour_by("copies")

    def _on_tasks(self) -> None:
        if self.tasks.busy:
            self.note.setText(self.tasks.text)
        else:
            self.refresh()

    def _show_meaning(self, mesh: MapMesh | None) -> None:
        """Say what the colours mean, where they have values."""
        if self.tasks.busy:
            return
        self.note.setText("" if mesh is None else _MEANINGS.get(mesh.colouring, ""))

    def _on_chosen(self, layer: Image | None) -> None:
        viewer, before = self._viewer(), None if self._followed is None else self._followed()
        if before is not None:
            for name in _FOLLOWED:
                getattr(before.events, name).disconnect(self.refresh)
        self._followed = None if layer is None else ref(layer)
        if layer is not None and viewer is not None:
            for name in _FOLLOWED:
                getattr(layer.events, name).connect(self.refresh)
            mesh = MapMeshes.of(viewer).find(layer)
            if mesh is not None:
                with QSignalBlocker(self.dust):
                    self.dust.setValue(mesh.dust * voxel_size_of(layer) ** 3)
        self.refresh()

    def _lay_out(self) -> None:
        self.level.setDecimals(2)
        self.level.setSingleStep(0.1)
        self.dust.setRange(0, _MOST_DUST)
        self.dust.setDecimals(0)
        self.dust.setSingleStep(500)
        self.dust.setSuffix(" Å³")
        self.dust.setSpecialValueText("none")
        self.dust.setKeyboardTracking(False)
        self.colouring.addItems([_COLOURINGS[name] for name in COLOURINGS])
        page = QWidget()
        QVBoxLayout(self).addWidget(make_scrollable(page))
        form = QFormLayout(page)
        form.setRowWrapPolicy(QFormLayout.RowWrapPolicy.WrapLongRows)
        self.colouring.setSizeAdjustPolicy(
            QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        )
        self.colouring.setMinimumContentsLength(8)
        form.addRow("Map", self.map)
        form.addRow("Level (σ)", self.level)
        form.addRow("Hide dust below", self.dust)
        form.addRow("Colour", self.colouring)
        form.addRow(self.note)
        form.addRow(self.enclosed)
        self.level.setAccessibleName("level, standard deviations above the mean")
        self.colouring.setAccessibleName("colour of the surface")
        self.dust.setAccessibleName("smallest part that is shown, cubic ångström")
        set_tooltip(
            self.level,
            "Level of the surface in standard deviations (σ) above the mean of the map. New "
            "iterations of a run keep it. In the picture, hold Shift and turn the mouse wheel.",
        )
        for part in self.level.findChildren(QWidget):
            part.setToolTip(self.level.toolTip())
        set_tooltip(
            self.dust,
            "Hide parts that enclose less than this volume (Å³). Only for maps drawn as meshes.",
        )
        set_tooltip(
            self.colouring,
            "Colour of the surface: from blue (low, near the centre, or where the two halves of "
            "the particles, or the random starts, agree) to red; or the copies of a "
            "pseudo-symmetry that was detected, by their density. Only for maps drawn as meshes.",
        )
