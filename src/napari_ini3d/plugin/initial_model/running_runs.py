"""Runs that are going on, offered to be followed when the dock is opened."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QComboBox, QGridLayout, QLabel, QPushButton, QWidget

from napari_ini3d.errors import RunFolderError
from napari_ini3d.plugin.initial_model.user_config import known_runs
from napari_ini3d.plugin.viewer import Task, TaskRunner, set_tooltip
from napari_ini3d.runs import RunEntry, is_locked, read_entry


class RunningRuns(QWidget):
    """Line with the runs that are going on and are not shown; hidden if there are none.

    Signals
    -------
    follow_clicked : Path
        Folder of a run.
    """

    follow_clicked = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self.label = QLabel("Going on:")
        self.choice = QComboBox()
        self.choice.setAccessibleName("Runs that are going on")
        policy = QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        self.choice.setSizeAdjustPolicy(policy)
        self.choice.setMinimumContentsLength(6)
        set_tooltip(self.choice, "Runs that go on without this window, with their last iteration.")
        self.follow = QPushButton("Follow")
        self.follow.setToolTip(
            "<p>Show the maps, the log and the convergence of this run as it goes on. It was kept "
            "running when its window was closed, or was started elsewhere.</p>"
        )
        row = QGridLayout(self)
        row.setContentsMargins(4, 2, 4, 2)
        row.addWidget(self.label, 0, 0)
        row.addWidget(self.choice, 0, 1)
        row.addWidget(self.follow, 0, 2)
        row.setColumnStretch(1, 1)
        self.follow.clicked.connect(self._on_follow)
        self._runner = TaskRunner(self, quiet=True)
        self.hide()

    def refresh(self, shown: Path | None) -> None:
        """Look, in a thread, which of the known runs are going on.

        Parameters
        ----------
        shown : Path or None
            Folder of the run that the window shows, which is left out.
        """
        folders = [folder for folder in known_runs() if folder != shown]
        task = Task("Looking for runs that are going on")
        self._runner.start(task, lambda _: find_running(folders), self._show)

    def _show(self, entries: list[RunEntry]) -> None:
        self.choice.clear()
        for entry in entries:
            self.choice.addItem(
                f"{entry.folder.name}, iteration {entry.iterations}", str(entry.folder)
            )
        self.setVisible(bool(entries))

    def _on_follow(self) -> None:
        folder = self.choice.currentData()
        if folder is not None:
            self.hide()
            self.follow_clicked.emit(Path(folder))


def find_running(folders: Sequence[Path]) -> list[RunEntry]:
    """Return the runs that are going on in some folders."""
    found = []
    for folder in folders:
        try:
            if is_locked(folder):
                found.append(read_entry(folder))
        except (RunFolderError, OSError):  # not begun yet, or not to be read
            continue
    return found
