"""Dock *Compare maps*: align two maps, show them side by side, with FSC and correlation."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any
from weakref import ReferenceType, ref

from napari.utils.notifications import show_error, show_warning
from qtpy.QtWidgets import (
    QCheckBox,
    QDoubleSpinBox,
    QFormLayout,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_ini3d.comparison import (
    MapComparison,
    MapGrid,
    check_same_grid,
    compare_maps,
    describe_comparison,
)
from napari_ini3d.errors import Ini3dError
from napari_ini3d.geometry import RigidTransform
from napari_ini3d.plugin import density_scale_of
from napari_ini3d.plugin.compare.fsc_plot import FscPlot
from napari_ini3d.plugin.compare.side_by_side import IMPOSED_COLOUR, SideBySide
from napari_ini3d.plugin.compare.slices import SlicedMap, SlicesView
from napari_ini3d.plugin.viewer import (
    LayerCombo,
    Origin,
    Task,
    TaskDock,
    TaskRunner,
    add_derived_map,
    connect_to_viewer,
    level_in_sigma,
    make_flow,
    make_scrollable,
    make_text_label,
    origin_of,
    set_level_in_sigma,
    set_metadata,
    set_tooltip,
    short_name_of,
    unwrap_proxy,
    voxel_size_of,
)

if TYPE_CHECKING:
    import napari
    from napari.layers import Image

_WIDTH = 400  # pixels
_AUTOMATIC = "auto"


class CompareWidget(TaskDock):
    """The dock *Compare maps*, for two maps of the viewer.

    Parameters
    ----------
    napari_viewer : napari viewer
    """

    def __init__(self, napari_viewer: napari.Viewer) -> None:
        super().__init__(TaskRunner(), _WIDTH)
        self.tasks.setParent(self)
        real: Any = unwrap_proxy(napari_viewer)
        self._viewer = ref(real)
        self.comparison = SideBySide.of(napari_viewer)
        self.first = LayerCombo(self._viewer)
        self.second = LayerCombo(self._viewer)
        self.register = QCheckBox("Align second to first")
        self.diameter = QDoubleSpinBox()
        self.compare = QPushButton("Compare")
        self.numbers = make_text_label()
        self.beside = QPushButton("Side by side")
        self.plot = FscPlot()
        self.slices = SlicesView()
        self._shown: tuple[ReferenceType[Any], ReferenceType[Any]] | None = None
        self._result = ""
        self._choose_two()
        self._lay_out()
        self._connect(real)
        self.refresh()

    def refresh(self, *_: object) -> None:
        """Enable the available actions, and show the status."""
        super().refresh()
        first, second = self.first.layer, self.second.layer
        ready = first is not None and second is not None and first is not second
        self.compare.setEnabled(ready and not self.tasks.busy)
        self.beside.setEnabled(self._shown is not None)
        self.beside.setChecked(self.comparison.active)
        hint = "" if ready else "Open two maps and choose them above."
        self.numbers.setText(self.tasks.text or self._result or hint)

    def _on_compare(self) -> None:
        first, second, viewer = self.first.layer, self.second.layer, self._viewer()
        if first is None or second is None or viewer is None:
            return
        try:
            voxel_size = _common_voxel_size(first, second)
            volumes = [origin_of(viewer, layer).result for layer in (first, second)]
        except Ini3dError as error:
            show_error(str(error))
            return
        align, diameter = self.register.isChecked(), self.diameter.value() or None

        def work(task: Task) -> MapComparison:
            task.step("Aligning the maps" if align else "Comparing")
            return compare_maps(
                *volumes, voxel_size=voxel_size, mask_diameter=diameter, align=align
            )

        self._shown, self._result = None, ""
        then = functools.partial(self._show, ref(first), ref(second))
        self.tasks.start(Task("Comparing the maps"), work, then)

    def _show(
        self, first: ReferenceType[Image], second: ReferenceType[Image], found: MapComparison
    ) -> None:
        viewer, a, b = self._viewer(), first(), second()
        if viewer is None:
            return
        if a is None or b is None or a not in viewer.layers or b not in viewer.layers:
            show_warning("A map was removed during the comparison; the result is discarded.")
            return
        self.comparison.leave()
        lines = describe_comparison(found)
        if found.mirrored:
            lines[-1] = f"⚠ {lines[-1]}"
        self._result = "\n".join(lines)
        curves = {"aligned": found.fsc, "not aligned": found.fsc_as_is}
        if found.registration is None:
            curves = {"not aligned": found.fsc_as_is}
        self.plot.show_curves(found.frequency, curves)
        volume = origin_of(viewer, a).result
        self.slices.show_maps([_sliced(a.name, volume), _sliced(b.name, found.aligned)], (0, 0, 1))
        moved = b if found.registration is None else _add_registered(viewer, a, b, found)
        self._shown = (ref(a), ref(moved))
        self._compare(wanted=True)

    def _compare(self, wanted: bool) -> None:
        """Show the two maps side by side, or end the comparison."""
        self.comparison.leave()
        viewer = self._viewer()
        if not wanted or self._shown is None or viewer is None:
            return
        layers = [layer for layer in (r() for r in self._shown) if layer in viewer.layers]
        if len(layers) < 2:
            show_error("One of the maps was removed; press Compare again.")
            return
        self.comparison.show(layers, [None, None], link="sigma")

    def _on_removed(self, _event: Any) -> None:
        viewer = self._viewer()
        if self._shown is None or viewer is None:
            return
        if any(layer() not in viewer.layers for layer in self._shown):
            self._shown, self._result = None, ""
            self.refresh()

    def _choose_two(self) -> None:
        """Choose the newest visible map, and as reference the one before it."""
        if self.first.count() > 1:
            place = self.second.currentIndex() + 1
            self.first.setCurrentIndex(place if place < self.first.count() else place - 2)

    def _on_list(self) -> None:
        """Choose a second map as soon as there is one."""
        if self.first.layer is self.second.layer and self.first.count() > 1:
            self.first.setCurrentIndex(1 if self.second.currentIndex() == 0 else 0)
        self.refresh()

    def _lay_out(self) -> None:
        self.register.setChecked(True)
        self.diameter.setRange(0, 99999)
        self.diameter.setDecimals(0)
        self.diameter.setSingleStep(10)
        self.diameter.setSuffix(" Å")
        self.diameter.setSpecialValueText(_AUTOMATIC)
        self.beside.setCheckable(True)
        form = QFormLayout()
        form.setRowWrapPolicy(QFormLayout.RowWrapPolicy.WrapLongRows)
        form.addRow("First map", self.first)
        form.addRow("Second map", self.second)
        form.addRow("Mask diameter", self.diameter)
        form.addRow(self.register)
        buttons = make_flow(self.compare, self.beside, self.cancel)
        page = QWidget()
        column = QVBoxLayout(page)
        column.addLayout(form)
        column.addLayout(buttons)
        for part in (self.bar, self.numbers, self.plot, self.slices):
            column.addWidget(part)
        column.addStretch(1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(2, 2, 2, 2)
        layout.addWidget(make_scrollable(page))
        self._explain()

    def _explain(self) -> None:
        set_tooltip(
            self.compare,
            "Compute the FSC and the correlation of both maps, and show them side by side.",
        )
        set_tooltip(
            self.register,
            "Find the rotation, shift and hand that align the second map to the first, and show it "
            "in a new layer. If off, the maps are compared without alignment.",
        )
        set_tooltip(
            self.diameter,
            "Diameter (Å) of the spherical mask for the comparison. Auto: 0.9 of the box.",
        )
        set_tooltip(
            self.beside,
            "Show both maps side by side, at the same level in standard deviations. Click again to "
            "end the comparison.",
        )

    def _connect(self, viewer: Any) -> None:
        self.compare.clicked.connect(self._on_compare)
        self.beside.clicked.connect(self._compare)
        self.first.chosen.connect(self.refresh)
        self.second.chosen.connect(self.refresh)
        self.second.offered.connect(self._on_list)  # filled after the first
        self.comparison.changed.connect(self.refresh)
        self.plot.apply_theme(viewer.theme)
        connect_to_viewer(
            self,
            viewer,
            {"layers.events.removed": self._on_removed, "events.theme": self._on_theme},
        )

    def _on_theme(self, event: Any) -> None:
        self.plot.apply_theme(event.value)


def _common_voxel_size(first: Image, second: Image) -> float:
    """Return the voxel size of two maps (Å).

    Raises
    ------
    MapError
        If their boxes or voxel sizes differ.
    """
    grids = [
        MapGrid(layer.name, layer.data.shape[-1], voxel_size_of(layer)) for layer in (first, second)
    ]
    check_same_grid(*grids)
    return grids[0].voxel_size


def _add_registered(viewer: Any, first: Image, second: Image, found: MapComparison) -> Image:
    """Show the second map aligned to the first, at the same level in standard deviations."""
    origin = Origin(found.aligned, False, RigidTransform.identity(), found.aligned)
    key = f"{second.unique_id} on {first.unique_id}"
    name = f"{short_name_of(second)} on {short_name_of(first)}"
    own = second.colormap.name  # that of a class, which may be the colour of a first one
    colour = IMPOSED_COLOUR if own == "gray" else own
    layer = add_derived_map(viewer, first, origin, name, key=key, colormap=colour)
    set_metadata(
        layer, density_scale=density_scale_of(second.metadata)
    )  # its values are the second's
    set_level_in_sigma(layer, level_in_sigma(first))
    return layer


def _sliced(name: str, volume: Any) -> SlicedMap:
    return SlicedMap(name, volume, (float(volume.min()), float(volume.max())))
