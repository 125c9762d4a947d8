"""Align a map to its symmetry axes, automatically or by hand: preview, apply, undo."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from weakref import ReferenceType, ref

import numpy as np
from napari.utils.notifications import show_error, show_info
from qtpy.QtCore import QObject, QTimer

from napari_ini3d.errors import Ini3dError, explain
from napari_ini3d.geometry import PointGroup, RigidTransform
from napari_ini3d.plugin.symmetry import tasks
from napari_ini3d.plugin.symmetry.controller import SymmetryController
from napari_ini3d.plugin.symmetry.panels import AlignPanel, FilePanel
from napari_ini3d.plugin.viewer import (
    AxesStatus,
    MapAxes,
    Origin,
    Task,
    TaskRunner,
    add_derived_map,
    broken_subunits,
    get_metadata,
    origin_of,
    record_axes,
    recorded_axes,
    short_name_of,
    trial_of,
    voxel_size_of,
)

if TYPE_CHECKING:
    from napari.layers import Image

_SCORE_MS = 200


class AlignControl(QObject):
    """Actions of the buttons in *Align to the axes*, and of *Flip hand*.

    Parameters
    ----------
    controller : SymmetryController
    panel, files : panels
    """

    def __init__(self, controller: SymmetryController, panel: AlignPanel, files: FilePanel) -> None:
        super().__init__(controller)
        self._controller, self._panel = controller, panel
        self.scorer = TaskRunner(self, quiet=True)
        self._score = tasks.MotionScore()
        self._start = RigidTransform.identity()  # before the adjustment by hand
        self.score_timer = QTimer(self)
        self.score_timer.setSingleShot(True)
        self.score_timer.setInterval(_SCORE_MS)
        self.score_timer.timeout.connect(self._ask_score)
        self.scorer.changed.connect(self._on_scorer)
        panel.align.clicked.connect(self._on_align)
        panel.adjusted.connect(self._on_adjusted)
        panel.group_changed.connect(self._on_group)
        panel.reset.clicked.connect(self._on_reset)
        panel.apply_new.clicked.connect(lambda: self._on_apply(in_place=False))
        panel.apply_here.clicked.connect(lambda: self._on_apply(in_place=True))
        panel.undo.clicked.connect(controller.undo)
        files.flip.clicked.connect(self._on_flip)
        controller.map_changed.connect(self._on_map_changed)

    def _on_map_changed(self, layer: Image | None) -> None:
        self._start = RigidTransform.identity() if layer is None else trial_of(layer)
        self._panel.clear()
        self._panel.score.setText("" if layer is None else describe_trial(layer))

    # -- preview ------------------------------------------------------------------------------

    def _on_align(self) -> None:
        self.align(self._panel.chosen_group)

    def align(self, group: str, then: Callable[[Image], None] | None = None) -> None:
        """Find the alignment to a group and preview it; then call `then`, if the group holds."""
        known, halves = self._controller.validated(self._controller.layer), self._controller.halves

        def prepare(origin: Origin, voxel_size: float) -> Any:
            tasks.check_group(group)
            return lambda task: tasks.find_alignment(task, origin, group, voxel_size, known, halves)

        def show(layer: Image, aligned: tasks.Aligned) -> None:
            self._show_alignment(layer, aligned)
            if then is not None and aligned.imposed.validation.holds:
                then(layer)

        self._controller.run_task(Task(f"Aligning to {group}", 2), prepare, show)

    def preview(self, layer: Image, motion: RigidTransform) -> None:
        """Show a map after a motion, if it is not shown so."""
        if motion.after(trial_of(layer).inverse()).is_identity:
            return
        self._controller.place(layer, motion)
        if layer is self._controller.layer:
            self._on_map_changed(layer)

    def _show_alignment(self, layer: Image, aligned: tasks.Aligned) -> None:
        alignment, validation = aligned.alignment, aligned.imposed.validation
        motion = aligned.imposed.motion
        x, y, z = (float(value) for value in motion.shift)
        status: AxesStatus = "detected" if validation.holds else "rejected"
        before = get_metadata(layer, "imposed_group")
        by_construction = validation.holds and tasks.is_by_construction(alignment.group, before)
        if by_construction:
            status = "imposed"
        subunits = broken_subunits(alignment.pseudo, alignment.voxel_size)
        axes = MapAxes(alignment.group, alignment.axes, (x, y, z), status, subunits)
        record_axes(self._controller.viewer, layer, axes)
        self._controller.keep_validation(layer, aligned.imposed)
        self._controller.place(layer, motion)
        if layer is not self._controller.layer:
            return
        self._panel.choose_group(alignment.group)
        self._start = motion
        self._panel.clear()
        self._controller.axes_wanted.emit()
        mark = "✓" if validation.holds else "✗"
        lines = [f"{mark} {validation.verdict}", *(f"⚠ {w}" for w in alignment.warnings)]
        lines += [tasks.warn_of_imposed(alignment.group)] if by_construction else []
        self._panel.score.setText("\n".join([*lines, describe_trial(layer)]))

    def _on_adjusted(self) -> None:
        layer = self._controller.layer
        if layer is None:
            return
        try:
            by_hand = self._panel.by_hand(voxel_size_of(layer))
        except Ini3dError as error:
            show_error(str(error))
            return
        self._controller.place(layer, by_hand.after(self._start))
        self.score_timer.start()

    def _on_reset(self) -> None:
        layer = self._controller.layer
        if layer is not None:
            self._controller.end_trial(layer)
            self._controller.place(layer, RigidTransform.identity())
            self._on_map_changed(layer)

    def _on_group(self) -> None:
        layer = self._controller.layer
        if layer is not None and not trial_of(layer).is_identity:
            self.score_timer.start()

    def _ask_score(self) -> None:
        """Compute the score of the group for the map as shown; only the last request counts."""
        layer, viewer = self._controller.layer, self._controller.viewer
        if layer is None or viewer is None:
            return
        if self.scorer.busy:
            self.score_timer.start()
            return
        try:
            group = tasks.check_group(self._panel.chosen_group)
            origin, motion = origin_of(viewer, layer), trial_of(layer)
        except Ini3dError as error:
            self._panel.score.setText(str(error))
            return
        self._panel.score.setText(f"{group.name}: …\n{describe_trial(layer)}")
        halves = self._controller.halves
        self.scorer.start(
            Task("Score"),
            lambda _: self._score.of(origin, group, motion, halves),
            functools.partial(self._show_score, ref(layer), group),
        )

    def _show_score(self, layer: ReferenceType[Image], group: PointGroup, score: float) -> None:
        shown = layer()
        if shown is not None and shown is self._controller.layer:
            text = f"{group.name}: score {score:.3f} (1: the group holds)"
            self._panel.score.setText(f"{text}\n{describe_trial(shown)}")

    def _on_scorer(self) -> None:
        if self.scorer.error is not None:
            self._panel.score.setText(explain(self.scorer.error))

    # -- apply --------------------------------------------------------------------------------

    def _on_apply(self, *, in_place: bool) -> None:
        layer = self._controller.layer
        motion = RigidTransform.identity() if layer is None else trial_of(layer)

        def prepare(origin: Origin, _: float) -> Any:
            return lambda task: tasks.apply_motion(task, origin, motion)

        def then(layer: Image, moved: Origin) -> None:
            if not in_place:
                self._controller.layer_combo.choose(
                    add_aligned(self._controller, layer, moved, motion)
                )
                return
            self._controller.end_trial(layer)
            axes = moved_axes(self._controller, layer, motion)
            self._controller.replace(layer, moved, axes)

        self._controller.run_task(Task("Moving the map"), prepare, then)

    def _on_flip(self) -> None:
        def prepare(origin: Origin, _: float) -> Any:
            return lambda task: tasks.flip_map(task, origin)

        self._controller.run_task(Task("Flipping the hand"), prepare, self._show_flipped)

    def _show_flipped(self, layer: Image, flipped: Origin) -> None:
        found = recorded_axes(self._controller.viewer, layer)
        axes = None if found is None else found.mirrored()
        motion = trial_of(layer).mirrored()
        self._controller.end_trial(layer)
        if layer.ndim == 3:
            self._controller.replace(layer, flipped, axes)
        else:  # one iteration of a run; the others keep their hand
            name = f"{short_name_of(layer)} flipped"
            new = add_derived_map(
                self._controller.viewer, layer, flipped, name, axes=axes, only_moved=True
            )
            layer.visible = False
            layer = new
            self._controller.layer_combo.choose(layer)
        self._controller.place(layer, motion)
        if layer is self._controller.layer:
            self._on_map_changed(layer)
        show_info(f"{layer.name}: hand flipped (z to -z).")


def add_aligned(
    controller: SymmetryController, layer: Image, moved: Origin, motion: RigidTransform
) -> Image:
    """Show a moved map in a new layer, and hide the original."""
    axes = moved_axes(controller, layer, motion)
    controller.end_trial(layer)
    name = f"{short_name_of(layer)} aligned"
    new = add_derived_map(controller.viewer, layer, moved, name, axes=axes, only_moved=True)
    layer.visible = False  # last: a hidden layer of a run has no slider that tells its iteration
    return new


def moved_axes(
    controller: SymmetryController, layer: Image, motion: RigidTransform
) -> MapAxes | None:
    """Return the axes that were found in a map, after a motion of the map."""
    found = recorded_axes(controller.viewer, layer)
    return None if found is None else found.moved(motion)


def describe_trial(layer: Image) -> str:
    """Return the motion of the preview in words; empty without one."""
    motion = trial_of(layer)
    if motion.is_identity:
        return ""
    shift = float(np.linalg.norm(motion.shift)) * voxel_size_of(layer)
    return f"Preview: rotated by {motion.angle:.1f}°, shifted by {shift:.1f} Å; not applied yet."
