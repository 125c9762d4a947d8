"""Buttons, progress and words about the run of a viewer."""

from __future__ import annotations

import math
import time
from pathlib import Path

from napari.utils.notifications import show_error
from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QGridLayout, QLabel, QProgressBar, QPushButton, QWidget

from napari_ini3d.engine.estimate import expected_iterations
from napari_ini3d.errors import Ini3dError, explain
from napari_ini3d.io.check_summary import describe_time
from napari_ini3d.io.progress import IterationSummary
from napari_ini3d.io.runs import RunFolder
from napari_ini3d.settings import InitialModelSettings
from napari_ini3d.widgets.session import RunSession

STAGES = {
    "starts": "random starts",
    "search": "search",
    "refine": "refinement",
    "final": "last pass over all particles",
}
_BEFORE = {True: "Checking the particles …", False: "No run yet"}
_RECENT = 5  # iterations whose time is taken for those to come


class RunPanel(QWidget):
    """Starts, holds, stops and resumes a run, and says how it stands.

    Signals
    -------
    run_clicked
        A run of what the form holds is wanted.
    resume_clicked
        The run that was stopped is to go on.
    """

    run_clicked = Signal()
    resume_clicked = Signal()

    def __init__(self, session: RunSession) -> None:
        super().__init__()
        self._session = session
        self.resumable: Path | None = None
        self.run = QPushButton("Run")
        self.pause = QPushButton("Pause")
        self.stop = QPushButton("Stop and keep")
        self.resume = QPushButton("Resume")
        self.look_back = QPushButton("Show iterations")
        self.look_back.setCheckable(True)
        self.bar = QProgressBar()
        self.status = QLabel("No run yet")
        self.status.setWordWrap(True)
        self._lay_out()
        self._explain()
        self._connect()
        self.refresh()

    def refresh(self) -> None:
        """Show the state of the session: after a change, or when the dock was opened again."""
        state = self._session.state
        busy = self._session.busy
        self.run.setEnabled(not busy)
        self.resume.setEnabled(not busy and self.resumable is not None)
        self.pause.setEnabled(state in ("running", "paused"))
        self.pause.setText("Continue" if state == "paused" else "Pause")
        self.stop.setEnabled(state in ("running", "paused"))
        self.look_back.setEnabled(bool(self._session.summaries))
        self.look_back.setChecked(self._session.layers.looking_back)
        self._show_progress()
        self.say_shown()

    def say_shown(self) -> None:
        """Say on the button which iteration is looked back at."""
        shown = self._session.layers.shown_iteration()
        if shown is None:
            self.look_back.setText("Show iterations")
            return
        of = {summary.iteration: summary for summary in self._session.summaries}
        known = of.get(shown)
        resolution = "" if known is None else f", {known.best_resolution:.1f} Å"
        self.look_back.setText(f"Iteration {shown}{resolution} (press for the newest)")

    def say(self, text: str) -> None:
        """Say something about the run."""
        self.status.setText(text)

    def _show_progress(self) -> None:
        summaries = self._session.summaries
        if not summaries:
            # no moving bar: without a graphics card it alone takes a quarter of a core
            self.bar.setRange(0, 1)
            self.bar.setValue(0)
            self.say(self._failure() or _BEFORE[self._session.busy])
            return
        last = summaries[-1]
        expected = expected_end(summaries, _settings_of(self._session.run_folder))
        done = last.converged or last.iteration >= last.n_iterations
        self.bar.setRange(0, last.iteration if done else expected)
        self.bar.setValue(last.iteration)
        self.say(self._failure() or status_text(summaries, self._session.state, expected))

    def _failure(self) -> str:
        """Return why the last run failed; nothing where it did not."""
        if self._session.error is None:
            return ""
        done = len(self._session.summaries)
        where = f" after iteration {done}" if done else ""
        return f"⚠ The run failed{where}: {explain(self._session.error)}"

    def _on_pause(self) -> None:
        if self._session.state == "paused":
            self._session.unpause()
        else:
            self._session.pause()

    def _on_look_back(self, wanted: bool) -> None:
        try:
            if wanted:
                self._session.layers.look_back()
            else:
                self._session.layers.look_at_newest()
        except Ini3dError as error:
            show_error(str(error))
        self.refresh()

    def _connect(self) -> None:
        self.run.clicked.connect(lambda: self.run_clicked.emit())
        self.resume.clicked.connect(lambda: self.resume_clicked.emit())
        self.pause.clicked.connect(self._on_pause)
        self.stop.clicked.connect(self._session.stop)
        self.look_back.clicked.connect(self._on_look_back)
        self._session.state_changed.connect(self._on_session)
        self._session.progressed.connect(self._on_session)

    def _on_session(self, _: object) -> None:
        self.refresh()

    def _lay_out(self) -> None:
        grid = QGridLayout(self)
        grid.setContentsMargins(4, 2, 4, 2)
        grid.addWidget(self.status, 0, 0, 1, 4)
        grid.addWidget(self.bar, 1, 0, 1, 4)
        buttons = (self.run, self.pause, self.stop, self.resume)
        for column, button in enumerate(buttons):
            grid.addWidget(button, 2, column)
        grid.addWidget(self.look_back, 3, 0, 1, 4)
        self.bar.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.bar.setFormat("%p %")

    def _explain(self) -> None:
        for widget, text in (
            (self.run, "Start a run with these settings; its files are written to the folder."),
            (self.pause, "Hold after the iteration in hand. Memory stays taken."),
            (self.stop, "End after the iteration in hand and write its maps; can be resumed."),
            (self.resume, "Go on with the run in the output folder, from its last iteration."),
            (
                self.look_back,
                "Show every iteration as a step of the slider below the picture; the slider's "
                "button ▶ plays them. At the last step, new iterations are followed.",
            ),
        ):
            widget.setToolTip(f"<p>{text}</p>")


def expected_end(summaries: list[IterationSummary], settings: InitialModelSettings | None) -> int:
    """Return the iteration at which a run is expected to have settled."""
    last = summaries[-1]
    if last.phase == "final" or settings is None:
        return last.n_iterations if settings is None else last.iteration
    return min(last.n_iterations, max(expected_iterations(settings), last.iteration + 1))


def remaining_seconds(summaries: list[IterationSummary], expected: int) -> float:
    """Return the time to the expected end, as long as iterations take what the last few took."""
    recent = [summary.total_seconds for summary in summaries[-_RECENT:]]
    return (expected - summaries[-1].iteration) * sum(recent) / len(recent)


def status_text(summaries: list[IterationSummary], state: str, expected: int) -> str:
    """Return how a run stands: iteration, stage, resolution, and the time that is left."""
    last = summaries[-1]
    if state == "idle":
        return _end_text(last)
    resolution = last.best_resolution
    words = [f"Iteration {last.iteration} of {last.n_iterations} at most"]
    words.append(STAGES.get(last.phase, last.phase))
    if math.isfinite(resolution):
        words.append(f"{resolution:.1f} Å")
    if state == "running" and expected > last.iteration:
        left = remaining_seconds(summaries, expected)
        end = time.strftime("%H:%M", time.localtime(time.time() + left))
        words.append(f"about {describe_time(left)} left (until {end})")
    ends = {"paused": "held", "stopping": "ending after the iteration in hand"}
    if ends.get(state):
        words.append(ends[state])
    return " · ".join(words)


def _end_text(last: IterationSummary) -> str:
    done = last.converged or last.iteration >= last.n_iterations
    if done:
        return f"Finished after {last.iteration} iterations: {last.message}"
    return f"Stopped after iteration {last.iteration} ({last.message}); it can be resumed"


def _settings_of(folder: Path | None) -> InitialModelSettings | None:
    try:
        return None if folder is None else RunFolder.open(folder).read_record().settings
    except Ini3dError:
        return None
