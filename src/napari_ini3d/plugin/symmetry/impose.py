"""Impose a point group, compare the maps, and save maps and particles."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from weakref import ReferenceType, ref

from napari.utils.notifications import show_error, show_info, show_warning
from qtpy.QtCore import QObject, Signal
from qtpy.QtWidgets import QFileDialog, QMessageBox

from napari_ini3d.errors import Ini3dError
from napari_ini3d.geometry import RigidTransform
from napari_ini3d.plugin import density_scale_of
from napari_ini3d.plugin.compare import IMPOSED_COLOUR, Difference
from napari_ini3d.plugin.symmetry import tasks
from napari_ini3d.plugin.symmetry.align import AlignControl
from napari_ini3d.plugin.symmetry.controller import SymmetryController
from napari_ini3d.plugin.symmetry.panels import AlignPanel, FilePanel
from napari_ini3d.plugin.symmetry.validation_panel import ValidationPanel
from napari_ini3d.plugin.viewer import (
    MapAxes,
    MapResults,
    Origin,
    Task,
    add_derived_map,
    get_metadata,
    origin_of,
    recorded_axes,
    set_metadata,
    short_name_of,
    trial_of,
    voxel_size_of,
)
from napari_ini3d.symmetry import SymmetryValidation

if TYPE_CHECKING:
    from napari.layers import Image

Answer = Literal["align", "impose", "cancel"]

_MRC, _PARTICLES = "MRC map (*.mrc)", "Particles (*.star *.cs)"


@dataclass(frozen=True, eq=False)
class Imposition:
    """The maps before and after a group was imposed.

    Attributes
    ----------
    original, aligned, imposed : weak references to layers
        The second may show its alignment as a preview; the first is then the same layer.
    result : tasks.Imposed
    """

    original: ReferenceType[Any]
    aligned: ReferenceType[Any]
    imposed: ReferenceType[Any]
    result: tasks.Imposed

    def layers(self, viewer: Any) -> list[Any]:
        """Return the maps that are still in the viewer, without duplicates."""
        found = (self.original(), self.aligned(), self.imposed())
        there = [layer for layer in found if layer is not None and layer in viewer.layers]
        return list(dict.fromkeys(there))


class ImposeControl(QObject):
    """Actions of the buttons in *Impose, hand, files* and *Validate*.

    Signals
    -------
    group_imposed
        A group was imposed.
    """

    group_imposed = Signal()

    def __init__(
        self,
        controller: SymmetryController,
        align: AlignPanel,
        files: FilePanel,
        validation: ValidationPanel,
        align_control: AlignControl,
    ) -> None:
        super().__init__(controller)
        self._controller, self._align = controller, align
        self._validation, self._align_control = validation, align_control
        self._impositions: MapResults[Imposition] = MapResults()
        files.impose.clicked.connect(self._on_impose)
        files.particles.clicked.connect(self._on_particles)
        files.save.clicked.connect(self._on_save)
        validation.side_by_side.connect(self.compare)
        controller.map_changed.connect(self._on_map_changed)

    # -- imposing -----------------------------------------------------------------------------

    def compare(self, wanted: bool) -> None:
        """Show the original, aligned and imposed map side by side, or end the comparison."""
        controller = self._controller
        controller.comparison.leave()
        imposition = self._impositions.find(controller.viewer, controller.layer)
        if not wanted or imposition is None or controller.viewer is None:
            return
        layers = imposition.layers(controller.viewer)
        if len(layers) < 2:
            show_error("The imposed map was removed; press Impose to compute it again.")
            return
        validation, aligned = imposition.result.validation, imposition.aligned()
        if aligned is not None and aligned in layers:
            self._align_control.preview(aligned, imposition.result.motion)  # as it was imposed
        difference = None
        if self._validation.difference.isChecked():
            difference = Difference(validation.difference, validation.voxel_size, on_axes=True)
        axes = [recorded_axes(controller.viewer, layer) for layer in layers]
        controller.comparison.show(layers, axes, difference=difference)

    def _on_impose(self) -> None:
        layer, group = self._controller.layer, self._align.chosen_group
        motion = RigidTransform.identity() if layer is None else trial_of(layer)
        known, halves = self._controller.validated(layer), self._controller.halves

        def prepare(origin: Origin, voxel_size: float) -> Any:
            parsed = tasks.check_group(group)
            if known is not None and known.is_of(parsed.name, motion, halves):
                return lambda _: known
            return lambda task: tasks.impose_group(task, origin, motion, parsed, voxel_size, halves)

        self._controller.run_task(Task(f"Imposing {group}", 2), prepare, self._on_imposed)

    def _on_imposed(self, layer: Image, imposed: tasks.Imposed) -> None:
        """Show the imposed map; if the map is not on the axes of the group, ask first."""
        group, validation = imposed.validation.group, imposed.validation
        doubtful = not (validation.holds or validation.featureless)
        if doubtful and not self._is_aligned(layer, imposed):
            answer = ask_to_align(layer.name, validation)
            if answer == "cancel":
                return
            if answer == "align":
                self._controller.layer_combo.choose(layer)
                self._align_control.align(group, lambda _: self._on_impose())
                return
        self._show_imposed(layer, imposed)

    def _is_aligned(self, layer: Image, imposed: tasks.Imposed) -> bool:
        """Tell whether the axes found for a group are where it was imposed."""
        found = recorded_axes(self._controller.viewer, layer)
        group = imposed.validation.group
        return found is not None and found.moved(imposed.motion).fits_setting(group)

    def _show_imposed(self, layer: Image, imposed: tasks.Imposed) -> None:
        """Show the imposed map beside the other, which stays in the preview of its alignment."""
        controller, validation = self._controller, imposed.validation
        still = RigidTransform.identity()
        new = add_derived_map(
            controller.viewer,
            layer,
            Origin(validation.imposed, False, still, validation.imposed),
            f"{short_name_of(layer)} {validation.group} imposed",
            axes=MapAxes.of_setting(validation.group, "imposed"),
            key=f"{layer.unique_id}: {validation.group} imposed",
            colormap=IMPOSED_COLOUR,
        )
        set_metadata(new, imposed_on=imposed.aligned, imposed_group=validation.group)
        new.visible, layer.visible = True, False  # they overlap
        original = _source_of(controller.viewer, layer)
        controller.keep_validation(layer, imposed)
        imposition = Imposition(ref(original), ref(layer), ref(new), imposed)
        for shown in (layer, new):
            self._impositions.keep(controller.viewer, shown, imposition)
        controller.layer_combo.choose(new)  # to save or flip it next
        self._on_map_changed(new)
        self.group_imposed.emit()
        self.compare(True)
        if not validation.holds:
            show_warning(f"{validation.verdict}.")

    def _on_map_changed(self, layer: Image | None) -> None:
        imposition = self._impositions.find(self._controller.viewer, layer)
        if imposition is None:
            self._validation.clear()
        else:
            result = imposition.result
            self._validation.show_validation(result.validation, result.aligned.result)

    # -- files --------------------------------------------------------------------------------

    def _on_particles(self) -> None:
        layer, viewer = self._controller.layer, self._controller.viewer
        if layer is None or viewer is None:
            return
        try:
            origin, voxel_size = origin_of(viewer, layer), voxel_size_of(layer)
        except Ini3dError as error:
            show_error(str(error))
            return
        moved = _pose_of(layer, origin)
        if moved.motion.is_identity and not moved.flipped:
            show_info(f"{layer.name} was neither flipped nor moved; its particles need no change.")
            return
        source = ask_open("Particles of the map", particles_of(layer), _PARTICLES)
        if source is None:
            return
        proposed = source.with_name(f"{source.stem}_aligned{source.suffix}")
        target = ask_save("Save the rotated particles", proposed, _PARTICLES)
        if target is not None:
            self._controller.run_task(
                Task("Rotating the particles"),
                lambda _o, _v: lambda t: tasks.save_particles(t, source, target, moved, voxel_size),
                _show_written,
            )

    def _on_save(self) -> None:
        layer = self._controller.layer
        if layer is None:
            return
        motion, scale = trial_of(layer), density_scale_of(layer.metadata)
        file_origin = get_metadata(layer, "file_origin") or (0.0, 0.0, 0.0)
        folder = Path(str(get_metadata(layer, "path") or "")).parent
        name = "".join(c if c.isalnum() or c in "-_." else "_" for c in layer.name)
        path = ask_save("Save the map as shown", folder / f"{name}.mrc", _MRC)
        if path is not None:
            self._controller.run_task(
                Task("Saving the map", 2),
                lambda origin, voxel_size: (
                    lambda t: tasks.save_map(
                        t,
                        origin,
                        motion,
                        path,
                        voxel_size=voxel_size,
                        density_scale=scale,
                        file_origin=file_origin,
                    )
                ),
                _show_written,
            )


def ask_to_align(name: str, validation: SymmetryValidation) -> Answer:
    """Ask what to do with a map that is not on the axes of the group to impose."""
    group = validation.group
    box = QMessageBox()
    box.setWindowTitle(f"Impose {group}")
    box.setIcon(QMessageBox.Icon.Question)
    box.setText(
        f"{name} as shown is not on the axes of {group}: its rotated copies reach "
        f"{max(validation.agreement, 0):.0%} of the agreement expected if they were. Imposing "
        f"{group} here would average what does not belong together."
    )
    align = box.addButton("Align first", QMessageBox.ButtonRole.AcceptRole)
    impose = box.addButton("Impose anyway", QMessageBox.ButtonRole.DestructiveRole)
    box.addButton(QMessageBox.StandardButton.Cancel)
    box.setDefaultButton(align)
    box.exec()
    answers: dict[Any, Answer] = {align: "align", impose: "impose"}
    return answers.get(box.clickedButton(), "cancel")


def ask_open(title: str, start: Path | None, kinds: str) -> Path | None:
    """Ask for a file to open; None if the user cancels."""
    name, _ = QFileDialog.getOpenFileName(None, title, str(start or ""), kinds)
    return Path(name) if name else None


def ask_save(title: str, start: Path, kinds: str) -> Path | None:
    """Ask for a file to save; None if the user cancels."""
    name, _ = QFileDialog.getSaveFileName(None, title, str(start), kinds)
    return Path(name) if name else None


def particles_of(layer: Image) -> Path | None:
    """Return the particles of the run of a map, from its last written iteration."""
    path = get_metadata(layer, "path")
    if not path:
        return None
    folder = Path(path) if Path(path).is_dir() else Path(path).parent
    found = sorted(folder.glob("run_it*_data.star"))
    return found[-1] if found else None


def _pose_of(layer: Image, origin: Origin) -> Origin:
    """Return a map as it is shown, with its hand and motion since the map of its particles.

    Those of a map with a group imposed begin before the group was imposed.
    """
    motion, flipped = trial_of(layer).after(origin.motion), origin.flipped
    before: Origin | None = get_metadata(layer, "imposed_on")
    if before is not None:
        motion = motion.after(before.motion.mirrored() if flipped else before.motion)
        flipped ^= before.flipped
    return Origin(origin.volume, flipped, motion, origin.result)


def _show_written(_: Image, path: Path) -> None:
    show_info(f"Saved {path}")


def _source_of(viewer: Any, layer: Image) -> Image:
    """Return the layer from which a map was aligned, or the map itself if it is gone."""
    source = get_metadata(layer, "source")
    return next((other for other in viewer.layers if other.unique_id == source), layer)
