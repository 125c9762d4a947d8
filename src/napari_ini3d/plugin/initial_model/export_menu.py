"""Button *Export*: the run of the window as input of another package, or the dock *Export*."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any
from weakref import ReferenceType

from napari.utils.notifications import show_error, show_info, show_warning
from qtpy.QtWidgets import QFileDialog, QMenu, QPushButton

from napari_ini3d.plugin.session import run_of_window
from napari_ini3d.plugin.viewer import Task, TaskRunner, open_dock, set_tooltip, with_ending
from napari_ini3d.runs import ExportedRun, RunFolder, export_run

_TARGETS = {"RELION …": ".star", "cryoSPARC …": ".cs"}


class ExportMenu(QPushButton):
    """Button with a menu of packages; each asks for a file, and writes particles and map.

    Parameters
    ----------
    viewer : weak reference to a napari viewer
        The run that it shows is exported.
    """

    def __init__(self, viewer: ReferenceType[Any]) -> None:
        super().__init__()
        self._viewer = viewer
        self.runner = TaskRunner(self)
        self.setText("Export")
        set_tooltip(
            self,
            "Write the particles of the run that is shown with their poses, and its map, for a "
            "refinement in another package; or save what the window shows.",
        )
        menu = QMenu(self)
        for name, ending in _TARGETS.items():
            menu.addAction(name, partial(self._ask, ending))
        self._of_run = menu.actions()
        menu.addSeparator()
        menu.addAction("ChimeraX, figure, movie …", self._open_dock)
        menu.aboutToShow.connect(self._enable_actions)
        self.setMenu(menu)
        self.runner.changed.connect(self._refresh)

    def export(self, target: Path) -> None:
        """Write the run to a file of particles, in the format of its name, in a thread."""
        folder = self._run()
        if folder is None:
            show_error("There is no run to export. Start one, or open its folder.")
            return
        run = RunFolder(folder)
        self.runner.start(
            Task(f"Exporting {folder.name}"), lambda _: export_run(run, target), self._show
        )

    def _run(self) -> Path | None:
        viewer = self._viewer()
        return None if viewer is None else run_of_window(viewer)

    def _enable_actions(self) -> None:
        """Offer the packages only if there is a run; the dock also takes maps of no run."""
        has_run = self._run() is not None
        for action in self._of_run:
            action.setEnabled(has_run)

    def _open_dock(self) -> None:
        viewer = self._viewer()
        if viewer is not None:
            open_dock(viewer, "Export")

    def _ask(self, ending: str) -> None:
        folder = self._run()
        if folder is None:
            self.export(Path())
            return
        suggested = str(folder.parent / f"{folder.name}_particles{ending}")
        name, _ = QFileDialog.getSaveFileName(self, "Export", suggested, f"Particles (*{ending})")
        if name:
            self.export(with_ending(name, ending))

    def _show(self, done: ExportedRun) -> None:
        text = f"{done.n_particles} particles: {done.particles_path}\nMap: {done.map_path}"
        if done.note:
            show_warning(f"{text}\n{done.note}")
        else:
            show_info(text)

    def _refresh(self) -> None:
        self.setEnabled(not self.runner.busy)
        self.setText("Exporting …" if self.runner.busy else "Export")
