"""The dock *Symmetry*: find the symmetry of a map, bring it onto its axes, impose it, judge."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import ReferenceType, WeakKeyDictionary, ref

import numpy as np
from napari.utils.notifications import show_error, show_info, show_warning
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import (
    QFileDialog,
    QFormLayout,
    QFrame,
    QHBoxLayout,
    QProgressBar,
    QPushButton,
    QScrollArea,
    QTabWidget,
    QVBoxLayout,
    QWidget,
)

from napari_ini3d.errors import Ini3dError, SettingsError
from napari_ini3d.geometry.symmetry import PointGroup
from napari_ini3d.symmetry.records import GroupCandidate, SymmetryAlignment, SymmetryReport
from napari_ini3d.widgets import axes_layers
from napari_ini3d.widgets import symmetry_work as work
from napari_ini3d.widgets.judge_panel import JudgePanel
from napari_ini3d.widgets.layer_choice import LayerChoice
from napari_ini3d.widgets.map_changes import MapChanges, add_beside
from napari_ini3d.widgets.placement import (
    MapAxes,
    Motion,
    end_trial,
    known,
    origin_of,
    place_trial,
    rebase_trial,
    trial_of,
    try_motion,
    voxel_size_of,
)
from napari_ini3d.widgets.side_by_side import IMPOSED_COLOUR, Difference, SideBySide
from napari_ini3d.widgets.symmetry_panels import AlignPanel, AxesPanel, FilePanel, FindPanel, words
from napari_ini3d.widgets.tasks import TaskRunner, Ticket
from napari_ini3d.widgets.viewing import remember

if TYPE_CHECKING:
    import napari
    from napari.layers import Image

_SCORE_MS = 200
_PLACES = ("scale", "translate", "rotate", "shear")
_NO_MAP = "No map: open one from napari's File menu."
_ALL_PARTS = (*axes_layers.FRAME_PARTS, *axes_layers.SYMMETRY_PARTS, "sphere")
_MRC, _STAR = "MRC map (*.mrc)", "Particles (*.star)"


@dataclass(frozen=True, eq=False)
class _Imposition:
    """What a group was imposed on, and with what result."""

    original: ReferenceType[Any]
    aligned: ReferenceType[Any]
    imposed: ReferenceType[Any]
    result: work.Imposed

    @property
    def layers(self) -> list[Any]:
        """The maps that are still there, each once."""
        found = (self.original(), self.aligned(), self.imposed())
        return list(dict.fromkeys(layer for layer in found if layer is not None))


class SymmetryWidget(QWidget):
    """Works on the map that is chosen at its top.

    Parameters
    ----------
    napari_viewer : napari viewer
    """

    def __init__(self, napari_viewer: napari.Viewer) -> None:
        super().__init__()
        real: Any = getattr(napari_viewer, "__wrapped__", napari_viewer)
        self._viewer = ref(real)
        self.tasks, self.scorer = TaskRunner(self), TaskRunner(self, quiet=True)
        self.comparison = SideBySide.of(napari_viewer)
        self.changes = MapChanges()
        self.find, self.axes, self.align = FindPanel(), AxesPanel(), AlignPanel()
        self.files, self.judge = FilePanel(), JudgePanel()
        self._reports: WeakKeyDictionary[Any, SymmetryReport] = WeakKeyDictionary()
        self._impositions: WeakKeyDictionary[Any, _Imposition] = WeakKeyDictionary()
        self._followed: ReferenceType[Image] | None = None
        self._start = Motion.none()
        self._score = work.MotionScore()
        self._score_timer = QTimer(self)
        self._score_timer.setSingleShot(True)
        self._score_timer.setInterval(_SCORE_MS)
        self._placing = False
        self.choice = LayerChoice(self._viewer)
        self._lay_out()
        self._connect(real)
        self._on_layer(self.choice.layer)

    @property
    def layer(self) -> Image | None:
        """The layer that is worked on."""
        return self.choice.layer

    # -- finding ----------------------------------------------------------------------------

    def _on_detect(self) -> None:
        self._do(
            "Detecting symmetry",
            1,
            lambda origin, voxel: lambda ticket: work.find_symmetry(ticket, origin.result, voxel),
            self._show_report,
        )

    def _show_report(self, layer: Image, report: SymmetryReport) -> None:
        self._reports[layer] = report
        self.find.show_report(report)
        if report.group == "C1":
            remember(layer, axes=None)
            self._draw(layer)
            return
        self.find.table.selectRow(0)  # which shows its axes

    def _on_row(self, candidate: GroupCandidate) -> None:
        layer = self.layer
        if layer is None:
            return
        centre = np.array(candidate.centre) / voxel_size_of(layer)
        found = MapAxes(candidate.group, candidate.axes, tuple(centre.tolist()))
        remember(layer, axes=found)
        self.align.choose_group(candidate.group)
        self._want_axes()

    def _on_sphere(self, _: int) -> None:
        if self.layer is not None:
            self._draw_sphere(self.layer)

    # -- axes -------------------------------------------------------------------------------

    def _want_axes(self) -> None:
        """Show all axes of the chosen map."""
        for box in (self.axes.frame, self.axes.symmetry):
            box.blockSignals(True)
            box.setChecked(True)
            box.blockSignals(False)
        self._redraw()

    def _redraw(self) -> None:
        if self.layer is not None:
            self._draw(self.layer)

    def _draw(self, layer: Image) -> None:
        """Show the axes that are wanted at a map, and no others."""
        viewer = self._viewer()
        if viewer is None or self.comparison.active:
            return
        found = self._axes_of(layer)
        self.axes.explain(
            found.axes if found is not None and self.axes.symmetry.isChecked() else ()
        )
        axes_layers.hide_parts(viewer, layer, axes_layers.FRAME_PARTS + axes_layers.SYMMETRY_PARTS)
        through = self.axes.through.isChecked()
        if self.axes.frame.isChecked() or self.axes.symmetry.isChecked():
            radius = axes_layers.particle_radius(viewer, layer)
            if self.axes.frame.isChecked():
                axes_layers.show_frame(viewer, layer, radius, through=through)
            if self.axes.symmetry.isChecked() and found is not None:
                axes_layers.show_symmetry_axes(viewer, layer, found, radius, through=through)

    def _draw_sphere(self, layer: Image) -> None:
        viewer, order = self._viewer(), self.find.wanted_order
        if viewer is None:
            return
        report = self._reports.get(layer)
        if report is None or not order:
            axes_layers.hide_parts(viewer, layer, ("sphere",))
            return
        self.comparison.leave()
        radius = axes_layers.particle_radius(viewer, layer)
        centre = np.array(report.candidates[0].centre) / report.voxel_size
        axes_layers.show_self_rotation(
            viewer, layer, report.self_rotation, order, radius=radius, centre=centre
        )

    def _axes_of(self, layer: Image) -> MapAxes | None:
        """Return the axes that were found, or those of the group that is written."""
        found: MapAxes | None = known(layer, "axes")
        group = self._parsed_group()
        if found is not None and (group is None or found.group == group.name):
            return found
        return None if group is None else MapAxes.of_setting(group.name)

    def _parsed_group(self) -> PointGroup | None:
        try:
            return PointGroup.parse(self.align.chosen_group)
        except Ini3dError:
            return None

    # -- aligning ---------------------------------------------------------------------------

    def _on_align(self) -> None:
        group = self.align.chosen_group
        self._do(
            f"Aligning to {group}",
            1,
            lambda origin, voxel: self._checked(group) and (
                lambda ticket: work.find_alignment(ticket, origin.result, group, voxel)
            ),
            self._show_alignment,
        )  # fmt: skip

    def _checked(self, group: str) -> bool:
        """Return True for a group with axes.

        Raises
        ------
        SymmetryError, SettingsError
        """
        if PointGroup.parse(group).order == 1:
            raise SettingsError("C1 has no axes; choose another point group, such as D2")
        return True

    def _show_alignment(self, layer: Image, alignment: SymmetryAlignment) -> None:
        shift = np.array(alignment.shift) / voxel_size_of(layer)
        found = MapAxes(alignment.group, alignment.axes, tuple(shift.tolist()))
        remember(layer, axes=found)
        self.align.choose_group(alignment.group)
        self._start = Motion(alignment.rotation, shift)
        self.align.clear()
        self._place(layer, self._start)
        self._want_axes()
        told = "\n".join([alignment.verdict, *(f"⚠ {w}" for w in alignment.warnings)])
        self.align.score.setText(f"{told}\n{self._say_trial(layer)}")

    def _on_adjusted(self) -> None:
        layer = self.layer
        if layer is None:
            return
        try:
            by_hand = self.align.by_hand(voxel_size_of(layer))
        except Ini3dError as error:
            show_error(str(error))
            return
        self._place(layer, by_hand.after(self._start))
        self._score_timer.start()

    def _place(self, layer: Image, motion: Motion) -> None:
        """Show a map as if it had been moved, with its axes."""
        viewer = self._viewer()
        self._placing = True
        try:
            try_motion(layer, motion)
        finally:
            self._placing = False
        if viewer is not None:
            axes_layers.follow_map(viewer, layer)
        self._refresh()

    def _say_trial(self, layer: Image) -> str:
        motion = trial_of(layer)
        if motion.is_none:
            return ""
        shift = float(np.linalg.norm(motion.shift)) * voxel_size_of(layer)
        return f"Shown turned by {motion.angle:.1f}° and shifted by {shift:.1f} Å; not applied yet."

    def _ask_score(self) -> None:
        """Tell how well the group fits as the map is shown; only the last question counts."""
        layer, viewer, group = self.layer, self._viewer(), self._parsed_group()
        if layer is None or viewer is None or group is None or group.order == 1:
            return
        if self.scorer.busy:
            self._score_timer.start()
            return
        try:
            volume, motion = origin_of(viewer, layer).result, trial_of(layer)
        except Ini3dError as error:
            self.align.score.setText(str(error))
            return
        self.align.score.setText(f"{group.name}: …\n{self._say_trial(layer)}")
        self.scorer.start(
            Ticket("Score"),
            lambda _: self._score.of(volume, group.name, motion),
            functools.partial(self._show_score, ref(layer), group.name),
        )

    def _show_score(self, layer: ReferenceType[Image], group: str, score: float) -> None:
        shown = layer()
        if shown is not None and shown is self.layer:
            told = f"{group}: score {score:.3f} (1 where it holds)"
            self.align.score.setText(f"{told}\n{self._say_trial(shown)}")

    def _on_scorer(self) -> None:
        if self.scorer.error is not None:
            self.align.score.setText(str(self.scorer.error))

    def _on_reset(self) -> None:
        if self.layer is not None:
            self._start = Motion.none()
            self.align.clear()
            self.align.score.setText("")
            self._place(self.layer, self._start)

    def _on_apply(self, *, in_place: bool) -> None:
        layer = self.layer
        motion = Motion.none() if layer is None else trial_of(layer)
        self._do(
            "Moving the map",
            1,
            lambda origin, _: lambda ticket: work.apply_motion(ticket, origin, motion),
            functools.partial(self._show_moved, motion, in_place),
        )

    def _show_moved(self, motion: Motion, in_place: bool, layer: Image, moved: Any) -> None:
        self._end_trial(layer)
        if in_place:
            self._replace(layer, moved, self._moved_axes(layer, motion))
        else:
            self.choice.choose(self._add_aligned(layer, moved, motion))

    def _moved_axes(self, layer: Image, motion: Motion) -> MapAxes | None:
        found: MapAxes | None = known(layer, "axes")
        return None if found is None else found.moved(motion)

    def _add_aligned(self, layer: Image, moved: Any, motion: Motion) -> Image:
        viewer = self._viewer()
        axes = self._moved_axes(layer, motion)
        layer.visible = False
        new = add_beside(viewer, layer, moved, f"{layer.name} aligned", axes=axes)
        new.visible = True
        return new

    def _replace(self, layer: Image, origin: Any, axes: MapAxes | None) -> None:
        self.changes.replace(layer, origin, axes)
        self._after_values(layer)

    def _after_values(self, layer: Image) -> None:
        """Forget what was found in the values that a layer had before."""
        self._reports.pop(layer, None)
        if layer is self.layer:
            self._take_up(layer)

    def _on_undo(self) -> None:
        layer = self.layer
        if layer is not None and self.changes.can_undo(layer):
            self._end_trial(layer)
            self.changes.undo(layer)
            self._after_values(layer)

    def _end_trial(self, layer: Image) -> None:
        self._placing = True
        try:
            end_trial(layer)
        finally:
            self._placing = False
        self._start = Motion.none()
        self.align.clear()
        self.align.score.setText("")

    # -- hand, imposing, files --------------------------------------------------------------

    def _on_flip(self) -> None:
        self._do(
            "Flipping the hand",
            1,
            lambda origin, _: lambda ticket: origin.mirrored(),
            self._show_flipped,
        )

    def _show_flipped(self, layer: Image, flipped: Any) -> None:
        found: MapAxes | None = known(layer, "axes")
        axes = None if found is None else found.mirrored()
        motion = trial_of(layer).mirrored()
        self._end_trial(layer)
        if layer.ndim == 3:
            self._replace(layer, flipped, axes)
        else:
            layer.visible = False
            layer = add_beside(self._viewer(), layer, flipped, f"{layer.name} flipped", axes=axes)
            self.choice.choose(layer)
        self._start = motion
        self._place(layer, motion)
        show_info("The hand was flipped.")

    def _on_impose(self) -> None:
        layer, group = self.layer, self.align.chosen_group
        motion = Motion.none() if layer is None else trial_of(layer)
        self._do(
            f"Imposing {group}",
            2,
            lambda origin, voxel: self._checked(group) and (
                lambda ticket: work.impose_group(ticket, origin, motion, group, voxel)
            ),
            functools.partial(self._show_imposed, motion),
        )  # fmt: skip

    def _show_imposed(self, motion: Motion, layer: Image, imposed: work.Imposed) -> None:
        viewer = self._viewer()
        assert viewer is not None
        aligned = layer
        if not motion.is_none:
            self._end_trial(layer)
            aligned = self._add_aligned(layer, imposed.aligned, motion)
        group = imposed.judgement.group
        result = imposed.judgement.imposed
        new = add_beside(
            viewer,
            aligned,
            work.Origin(result, False, Motion.none(), result),
            f"{layer.name}, {group} imposed",
            axes=MapAxes.of_setting(group),
            key=f"{aligned.unique_id}: {group} imposed",
            colormap=IMPOSED_COLOUR,
        )
        original = _source_of(viewer, aligned)
        self._impositions[aligned] = self._impositions[new] = _Imposition(
            ref(original), ref(aligned), ref(new), imposed
        )
        self.choice.choose(aligned)
        self._show_judgement(aligned)
        self.tabs.setCurrentIndex(1)
        self._compare(wanted=True)
        if not imposed.judgement.holds:
            way_out = "" if not motion.is_none else " If the axes are not on X, Y, Z, press Align."
            show_warning(f"{imposed.judgement.verdict}.{way_out}")

    def _show_judgement(self, layer: Image | None) -> None:
        known_here = None if layer is None else self._impositions.get(layer)
        if known_here is None:
            self.judge.clear()
            return
        result = known_here.result
        self.judge.show_judgement(result.judgement, result.aligned.result)

    def _compare(self, wanted: bool) -> None:
        """Show original, aligned and imposed side by side, or what was there before."""
        self.comparison.leave()
        known_here = None if self.layer is None else self._impositions.get(self.layer)
        if not wanted or known_here is None:
            return
        judgement = known_here.result.judgement
        setting = MapAxes.of_setting(judgement.group)
        layers = known_here.layers
        axes = [known(layer, "axes") or None for layer in layers]
        axes[-1] = setting
        difference = None
        if self.judge.difference.isChecked():
            difference = Difference(judgement.difference, judgement.voxel_size)
        self.comparison.show(layers, axes, difference=difference)

    def _on_particles(self) -> None:
        layer, viewer = self.layer, self._viewer()
        if layer is None or viewer is None:
            return
        try:
            origin, voxel = origin_of(viewer, layer), voxel_size_of(layer)
        except Ini3dError as error:
            show_error(str(error))
            return
        whole = trial_of(layer).after(origin.motion)
        if whole.is_none and not origin.flipped:
            show_info(f"{layer.name} was neither flipped nor moved: its particles are right as "
                      "they are.")  # fmt: skip
            return
        moved = work.Origin(origin.volume, origin.flipped, whole, origin.result)
        source = self._ask_open("Particles that the map was made of", particles_of(layer), _STAR)
        if source is None:
            return
        target = self._ask_save("Write the turned particles",
                                source.with_name(f"{source.stem}_aligned.star"), _STAR)  # fmt: skip
        if target is not None:
            self._do(
                "Taking the particles along",
                1,
                lambda _o, _v: lambda t: work.save_particles(t, source, target, moved, voxel),
                lambda _layer, path: show_info(f"Written: {path}"),
            )

    def _on_save(self) -> None:
        layer = self.layer
        if layer is None:
            return
        motion = trial_of(layer)
        folder = Path(str(known(layer, "path") or "")).parent
        name = "".join(c if c.isalnum() or c in "-_." else "_" for c in layer.name)
        path = self._ask_save("Save the map as it is shown", folder / f"{name}.mrc", _MRC)
        if path is not None:
            self._do(
                "Saving the map",
                2,
                lambda origin, voxel: lambda t: work.save_map(t, origin, motion, path, voxel),
                lambda _layer, written: show_info(f"Written: {written}"),
            )

    def _ask_open(self, title: str, start: Path | None, kinds: str) -> Path | None:
        name, _ = QFileDialog.getOpenFileName(self, title, str(start or ""), kinds)
        return Path(name) if name else None

    def _ask_save(self, title: str, start: Path, kinds: str) -> Path | None:
        name, _ = QFileDialog.getSaveFileName(self, title, str(start), kinds)
        return Path(name) if name else None

    # -- the chosen layer -------------------------------------------------------------------

    def _on_layer(self, layer: Image | None) -> None:
        """Work on another map."""
        before = None if self._followed is None else self._followed()
        viewer = self._viewer()
        if before is not None:
            for name in (*_PLACES, "affine"):
                getattr(before.events, name).disconnect(self._on_placed)
            if viewer is not None and before in viewer.layers and not self.comparison.active:
                axes_layers.hide_parts(viewer, before, _ALL_PARTS)
        self._followed = None if layer is None else ref(layer)
        if layer is not None:
            for name in (*_PLACES, "affine"):
                getattr(layer.events, name).connect(self._on_placed)
        self._take_up(layer)

    def _take_up(self, layer: Image | None) -> None:
        """Show what is known of a layer."""
        self._start = Motion.none() if layer is None else trial_of(layer)
        self.align.clear()
        self.align.score.setText("" if layer is None else self._say_trial(layer))
        self.find.show_report(None if layer is None else self._reports.get(layer))
        self._show_judgement(layer)
        if layer is not None:
            found: MapAxes | None = known(layer, "axes")
            if found is not None:
                self.align.choose_group(found.group)
            self._draw(layer)
            self._draw_sphere(layer)
        self._refresh()

    def _on_placed(self, event: Any) -> None:
        """Let the axes follow a map that was scaled or moved, by whomever."""
        layer, viewer = event.source, self._viewer()
        if self._placing or viewer is None or layer is not self.layer:
            return
        self._placing = True
        try:
            if event.type == "affine":
                rebase_trial(layer)
            else:
                place_trial(layer)
        finally:
            self._placing = False
        axes_layers.follow_map(viewer, layer)

    def _on_removed(self, event: Any) -> None:
        viewer = self._viewer()
        if viewer is not None and known(event.value, "kind") != "axes":
            axes_layers.remove_orphans(viewer)

    def _do(
        self,
        title: str,
        steps: int,
        prepare: Callable[[Any, float], Any],
        then: Callable[[Image, Any], None],
    ) -> None:
        """Do work on the chosen map in a thread; `then` gets the layer, if it is still there.

        Parameters
        ----------
        title : str
        steps : int
        prepare : callable
            Takes the map (`Origin`) and its voxel size (Å), returns what is done in the thread.
        then : callable
        """
        layer, viewer = self.layer, self._viewer()
        if layer is None or viewer is None:
            show_error("There is no map. Open one from napari's File menu, or take a sample from "
                       "File > Open Sample.")  # fmt: skip
            return
        try:
            job = prepare(origin_of(viewer, layer), voxel_size_of(layer))
        except Ini3dError as error:
            show_error(str(error))
            return
        self.tasks.start(Ticket(title, steps), job, functools.partial(self._done, ref(layer), then))

    def _done(
        self, layer: ReferenceType[Image], then: Callable[[Image, Any], None], result: Any
    ) -> None:
        found, viewer = layer(), self._viewer()
        if viewer is None:
            return
        if found is None or found not in viewer.layers:
            show_warning("The map was removed while it was worked on; the result is not shown.")
            return
        if not self.comparison.active or then != self._show_report:
            self.comparison.leave()
        then(found, result)
        self._refresh()

    def _refresh(self) -> None:
        """Enable what can be done now, and say what is going on."""
        layer, busy = self.layer, self.tasks.busy
        free = layer is not None and not busy
        moved = layer is not None and not trial_of(layer).is_none
        for button in (self.find.detect, self.align.align, self.files.impose, self.files.flip,
                       self.files.particles, self.files.save):  # fmt: skip
            button.setEnabled(free)
        self.axes.setEnabled(layer is not None and not self.comparison.active)
        self.align.apply_new.setEnabled(free and moved)
        self.align.apply_here.setEnabled(free and moved and layer is not None and layer.ndim == 3)
        self.align.reset.setEnabled(moved)
        self.align.undo.setEnabled(free and self.changes.can_undo(layer))
        for spin in (*self.align.turns, *self.align.shifts):
            spin.setEnabled(layer is not None)
        self.judge.compare.setChecked(self.comparison.active)
        self.cancel.setEnabled(busy)
        self.bar.setValue(round(100 * self.tasks.share))
        self.status.setText(self.tasks.text or ("Ready" if layer is not None else _NO_MAP))

    def _on_comparison(self) -> None:
        if not self.comparison.active:
            self._redraw()
        self._refresh()

    def _on_group(self) -> None:
        self._redraw()
        if self.layer is not None and not trial_of(self.layer).is_none:
            self._score_timer.start()

    # -- construction -----------------------------------------------------------------------

    def _lay_out(self) -> None:
        page = QWidget()
        column = QVBoxLayout(page)
        column.setContentsMargins(2, 2, 2, 2)
        for panel in (self.find, self.axes, self.align, self.files):
            column.addWidget(panel)
        column.addStretch(1)
        self.tabs = QTabWidget()
        self.tabs.addTab(_scrolled(page), "Find and align")
        self.tabs.addTab(_scrolled(self.judge), "Judge")
        self.status = words()
        self.bar = QProgressBar()
        self.bar.setRange(0, 100)
        self.bar.setTextVisible(False)
        self.bar.setMaximumHeight(10)
        self.cancel = QPushButton("Cancel")
        bottom = QHBoxLayout()
        bottom.addWidget(self.status, 2)
        bottom.addWidget(self.bar, 1)
        bottom.addWidget(self.cancel)
        top = QFormLayout()
        top.addRow("Map", self.choice)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(4, 4, 4, 4)
        layout.addLayout(top)
        layout.addWidget(self.tabs, 1)
        layout.addLayout(bottom)

    def _connect(self, viewer: Any) -> None:
        self.choice.chosen.connect(self._on_layer)
        self.find.detect.clicked.connect(self._on_detect)
        self.find.row_chosen.connect(self._on_row)
        self.find.sphere_wanted.connect(self._on_sphere)
        self.axes.changed.connect(self._redraw)
        align = self.align
        align.align.clicked.connect(self._on_align)
        align.adjusted.connect(self._on_adjusted)
        align.group_changed.connect(self._on_group)
        align.reset.clicked.connect(self._on_reset)
        align.apply_new.clicked.connect(lambda: self._on_apply(in_place=False))
        align.apply_here.clicked.connect(lambda: self._on_apply(in_place=True))
        align.undo.clicked.connect(self._on_undo)
        self.files.impose.clicked.connect(self._on_impose)
        self.files.flip.clicked.connect(self._on_flip)
        self.files.particles.clicked.connect(self._on_particles)
        self.files.save.clicked.connect(self._on_save)
        self.judge.side_by_side.connect(self._compare)
        self.cancel.clicked.connect(self.tasks.cancel)
        self.tasks.changed.connect(self._refresh)
        self.scorer.changed.connect(self._on_scorer)
        self._score_timer.timeout.connect(self._ask_score)
        self.comparison.changed.connect(self._on_comparison)
        viewer.layers.events.removed.connect(self._on_removed)
        viewer.events.theme.connect(self._on_theme)
        self.judge.plot.take_theme(viewer.theme)
        callbacks = (self._on_removed, self._on_theme)
        self.destroyed.connect(functools.partial(_let_go, self._viewer, *callbacks))

    def _on_theme(self, event: Any) -> None:
        self.judge.plot.take_theme(event.value)


def particles_of(layer: Image) -> Path | None:
    """Return the particles that belong to the map of a run, those of its last iteration."""
    path = Path(str(known(layer, "path") or ""))
    folder = path if path.is_dir() else path.parent
    found = sorted(folder.glob("run_it*_data.star")) if str(known(layer, "path") or "") else []
    return found[-1] if found else None


def _source_of(viewer: Any, layer: Image) -> Image:
    """Return the layer that a map was aligned from, if it is still there."""
    source = known(layer, "source")
    return next((other for other in viewer.layers if other.unique_id == source), layer)


def _scrolled(widget: QWidget) -> QScrollArea:
    area = QScrollArea()
    area.setWidgetResizable(True)
    area.setFrameShape(QFrame.Shape.NoFrame)
    area.setWidget(widget)
    return area


def _let_go(viewer: ReferenceType[Any], on_removed: Any, on_theme: Any, *_: object) -> None:
    """Take a dock that is no more off the viewer's events."""
    real = viewer()
    if real is not None:
        real.layers.events.removed.disconnect(on_removed)
        real.events.theme.disconnect(on_theme)
