"""Button *Export*: the run of the window as input of another package."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from napari.utils.notifications import show_error, show_info, show_warning
from qtpy.QtWidgets import QFileDialog, QMenu, QToolButton

from napari_ini3d.plugin.session import RunSession
from napari_ini3d.plugin.viewer import Task, TaskRunner
from napari_ini3d.runs import ExportedRun, RunFolder, export_run

_TARGETS = {"RELION …": ".star", "cryoSPARC …": ".cs"}


class ExportMenu(QToolButton):
    """Button with a menu of packages; each asks for a file, and writes particles and map.

    Parameters
    ----------
    session : RunSession
        Its run is exported.
    """

    def __init__(self, session: RunSession) -> None:
        super().__init__()
        self._session = session
        self.runner = TaskRunner(self)
        self.setText("Export ")
        self.setToolTip(
            "<p>Write the particles of this run with their poses, and its map, for a refinement in "
            "another package.</p>"
        )
        self.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        menu = QMenu(self)
        for name, ending in _TARGETS.items():
            menu.addAction(name, partial(self._ask, ending))
        self.setMenu(menu)
        self.runner.changed.connect(self._refresh)

    def export(self, target: Path) -> None:
        """Write the run to a file of particles, in the format of its name, in a thread."""
        folder = self._session.run_folder
        if folder is None:
            show_error("There is no run to export. Start one, or open its folder.")
            return
        run = RunFolder(folder)
        self.runner.start(
            Task(f"Exporting {folder.name}"), lambda _: export_run(run, target), self._show
        )

    def _ask(self, ending: str) -> None:
        folder = self._session.run_folder
        if folder is None:
            self.export(Path())
            return
        suggested = str(folder.parent / f"{folder.name}_particles{ending}")
        name, _ = QFileDialog.getSaveFileName(self, "Export", suggested, f"Particles (*{ending})")
        if name:
            path = Path(name)
            self.export(path if path.suffix == ending else path.with_name(path.name + ending))

    def _show(self, done: ExportedRun) -> None:
        text = f"{done.n_particles} particles: {done.particles_path}\nMap: {done.map_path}"
        if done.note:
            show_warning(f"{text}\n{done.note}")
        else:
            show_info(text)

    def _refresh(self) -> None:
        self.setEnabled(not self.runner.busy)
        self.setText("Exporting … " if self.runner.busy else "Export ")
