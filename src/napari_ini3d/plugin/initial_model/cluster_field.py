"""Field for a cluster of a run, with a test of its workers and a way to Dask's dashboard."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from qtpy.QtCore import QUrl
from qtpy.QtGui import QDesktopServices
from qtpy.QtWidgets import QGridLayout, QLabel, QLineEdit, QPushButton, QWidget

from napari_ini3d.cluster import check_cluster
from napari_ini3d.errors import Ini3dError, explain
from napari_ini3d.plugin.initial_model.fields import ProblemLabel, mark_widget
from napari_ini3d.plugin.session import ClusterAnswer, LogTail, ask_cluster
from napari_ini3d.plugin.viewer import Task, TaskRunner, make_text_label, set_tooltip

_HELP = (
    "Where the images are compared: local:4 (processes of this machine), tcp://host:8786 or its "
    "scheduler file (a cluster of Dask that runs), slurm:FILE.yaml (jobs). Empty: the threads or "
    "GPUs of this machine. The maps are the same."
)
_ANNOUNCEMENT = "dashboard of the cluster: "


class ClusterField(QWidget):
    """Text field of a cluster, with *Test* and *Dashboard*.

    Parameters
    ----------
    particles : callable
        Returns the path of the particles, as typed.
    threads : callable
        Returns the number of threads of the settings.

    Attributes
    ----------
    was_edited : bool
        Whether the user has typed, or removed, a cluster in this window.
    """

    def __init__(self, particles: Callable[[], str], threads: Callable[[], int]) -> None:
        super().__init__()
        self._particles, self._threads = particles, threads
        self._log: LogTail | None = None
        self._found: ClusterAnswer | None = None
        self.was_edited = False
        self.line = QLineEdit()
        self.line.setPlaceholderText("none")
        self.line.setAccessibleName("Cluster")
        set_tooltip(self.line, _HELP)
        self.test = QPushButton("Test")
        set_tooltip(self.test, "Ask the workers for their threads, memory, packages and stacks.")
        self.dashboard = QPushButton("Dashboard")
        set_tooltip(self.dashboard, "Open Dask's page of the cluster in the browser.")
        self.answer, self.problem = make_text_label(), ProblemLabel()
        self.answer.hide()
        self.runner = TaskRunner(self, quiet=True)
        self._lay_out()
        self.line.textChanged.connect(self._forget)
        self.line.textEdited.connect(self._on_edited)
        self.test.clicked.connect(self._on_test)
        self.dashboard.clicked.connect(self._on_dashboard)
        self.runner.changed.connect(self._refresh)
        self._refresh()

    @property
    def text(self) -> str:
        """The cluster as typed; empty for this machine."""
        text: str = self.line.text()
        return text.strip()

    def checked(self) -> str:
        """Return the cluster, after a look at how it is written.

        Raises
        ------
        Ini3dError
            Which is shown below the field, too.
        """
        try:
            check_cluster(self.text or None)
        except Ini3dError as error:
            self._show_problem(str(error))
            raise
        return self.text

    def watch(self, log: LogTail) -> None:
        """Take the address of the dashboard from the log of a run, if it is there."""
        self._log = log

    def find_dashboard(self) -> str:
        """Return the address of Dask's page: of the run, or of the last test; empty if unknown."""
        lines = [] if self._log is None else self._log.lines_after(0)
        for line in reversed(lines):
            _, found, address = line.text.partition(_ANNOUNCEMENT)
            if found:
                return address.strip()
        return "" if self._found is None else self._found.dashboard

    def _on_edited(self, _: str) -> None:
        self.was_edited = True

    def _on_test(self) -> None:
        if self.runner.busy:
            self.runner.cancel()
            return
        try:
            cluster = self.checked()
        except Ini3dError:
            return
        self._forget()
        if not cluster:
            self._show_problem("no cluster is given; type one, such as local:2")
            return
        path, threads = Path(self._particles()), self._threads()
        particles = path if self._particles() and path.is_file() else None

        def ask(task: Task) -> ClusterAnswer | None:
            return ask_cluster(cluster, particles, threads, cancelled=lambda: task.cancelled)

        self.runner.start(Task(f"Asking the workers of {cluster}"), ask, self._show)

    def _show(self, found: ClusterAnswer | None) -> None:
        self._found = found
        self._show_problem("\n".join(found.problems) if found else "")

    def _on_dashboard(self) -> None:
        address = self.find_dashboard()
        if address:
            QDesktopServices.openUrl(QUrl(address))
        else:
            self._show_problem("no dashboard is known; press Test, or start a run on the cluster")

    def _refresh(self) -> None:
        self.test.setText("Cancel" if self.runner.busy else "Test")
        text = self.runner.text or (self._found.text if self._found else "")
        self.answer.setText(text)
        self.answer.setVisible(bool(text))
        if self.runner.error is not None:
            self._show_problem(explain(self.runner.error))

    def _show_problem(self, text: str) -> None:
        self.problem.show_problem(text)
        mark_widget(self.line, bool(text))

    def _forget(self, *_: object) -> None:
        """Hide what was said of another cluster."""
        self.runner.cancel()
        self._found, self.runner.error = None, None
        self._show_problem("")
        self._refresh()

    def _lay_out(self) -> None:
        layout = QGridLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        label = QLabel("Cluster")
        label.setBuddy(self.line)
        set_tooltip(label, _HELP)
        layout.addWidget(label, 0, 0)
        layout.addWidget(self.line, 0, 1, 1, 2)
        layout.addWidget(self.test, 1, 1)
        layout.addWidget(self.dashboard, 1, 2)
        layout.addWidget(self.answer, 2, 0, 1, 3)
        layout.addWidget(self.problem, 3, 0, 1, 3)
