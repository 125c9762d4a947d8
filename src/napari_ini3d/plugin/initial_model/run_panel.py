"""Buttons, progress bar and status of a run."""

from __future__ import annotations

from pathlib import Path

from napari.utils.notifications import show_error
from qtpy.QtCore import Qt, QTimer, Signal
from qtpy.QtWidgets import QProgressBar, QPushButton, QVBoxLayout, QWidget

from napari_ini3d.errors import Ini3dError, explain
from napari_ini3d.plugin.initial_model.keys import NEXT, PAUSE, PREVIOUS, RUN, STOP
from napari_ini3d.plugin.session import (
    RunSession,
    beginning_text,
    is_done,
    message_of,
    planned_work,
    progress_of_bar,
    remaining_seconds,
    settings_of,
    status_text,
    validation_share,
)
from napari_ini3d.plugin.viewer import WrappedLabel, make_flow
from napari_ini3d.preflight import PlannedWork
from napari_ini3d.runs import IterationSummary

_LOG_MS = 500  # between looks at the log after the last iteration
_PAUSE = f"Pause after the current iteration ({PAUSE}). Memory is not released."
_CONTINUE = f"Continue the paused run ({PAUSE})."


class RunPanel(QWidget):
    """Starts, pauses, stops and resumes a run, and shows its progress.

    Signals
    -------
    run_clicked
        Start a run with the settings of the form.
    resume_clicked
        Resume the run that was stopped.
    """

    run_clicked = Signal()
    resume_clicked = Signal()

    def __init__(self, session: RunSession) -> None:
        super().__init__()
        self._session = session
        self.resumable: Path | None = None
        self.run = QPushButton("Run")
        self.pause = QPushButton("Pause")
        self.stop = QPushButton("Stop")
        self.resume = QPushButton("Resume")
        self.leave = QPushButton("Leave")
        self.iterations = QPushButton("Show iterations")
        self.iterations.setCheckable(True)
        self.bar = QProgressBar()
        self._log_timer = QTimer(self)
        self._log_timer.setInterval(_LOG_MS)
        self._log_timer.timeout.connect(self._show_progress)
        self.status = WrappedLabel("No run yet")
        self._lay_out()
        self._explain()
        self._connect()
        self.refresh()

    def refresh(self) -> None:
        """Show the state of the session."""
        state = self._session.state
        busy = self._session.busy
        self.run.setEnabled(not busy)
        self.resume.setEnabled(not busy and self.resumable is not None)
        can_control = state in ("running", "paused") and self._session.can_control
        self.pause.setEnabled(can_control)
        self.pause.setText("Continue" if state == "paused" else "Pause")
        self.pause.setToolTip(f"<p>{_CONTINUE if state == 'paused' else _PAUSE}</p>")
        self.stop.setEnabled(can_control)
        self.leave.setEnabled(busy)
        self.iterations.setEnabled(bool(self._session.summaries))
        self.iterations.setChecked(self._session.layers.history_visible)
        self._show_progress()
        self._update_iterations()

    def _update_iterations(self) -> None:
        """Show the iteration that is displayed on the button."""
        shown = self._session.layers.shown_iteration()
        if shown is None:
            self.iterations.setText("Show iterations")
            return
        self.iterations.setText(f"Iteration {shown} (newest …)")

    def _show_progress(self) -> None:
        summaries = self._session.summaries
        state = "left" if self._session.goes_on else self._session.state
        if not summaries:
            # no animated bar: drawn in software it would take a quarter of a core
            self.bar.setRange(0, 1)
            self.bar.setValue(0)
            self.bar.setFormat("")
            begun = self._session.run_folder is not None
            self.status.setText(self._failure() or beginning_text(state, begun=begun))
            return
        settings = settings_of(self._session.run_folder)
        self.bar.setUpdatesEnabled(False)  # else Qt paints the bar twice, at once, and the window
        planned = planned_work(self._session.run_folder, summaries)
        left = None if planned is None else remaining_seconds(summaries, planned)
        if planned is not None and self._is_validating(summaries[-1], planned):
            share = validation_share(self._session.validation, planned)
            left = (1 - share) * left if left is not None and share < 1 else None
            self.bar.setRange(0, 100)
            self.bar.setValue(int(100 * share))
            self.bar.setFormat("validation %p %")
        else:
            done, most = progress_of_bar(summaries)
            self.bar.setRange(0, most)
            self.bar.setValue(done)
            self.bar.setFormat("%v of at most %m" if done < most else "%v iterations")
        self.bar.setUpdatesEnabled(True)
        text = status_text(summaries, state, settings, left=left, message=self._message())
        self.status.setText(self._failure() or text)
        self._follow_log(is_done(summaries[-1]) and self._session.busy)

    def _is_validating(self, last: IterationSummary, planned: PlannedWork) -> bool:
        """Tell whether the run goes on after its last iteration, with a validation."""
        return self._session.busy and is_done(last) and planned.validation > 0

    def _message(self) -> str:
        """Return the newest message of the run's log."""
        lines = self._session.log.lines_after(self._session.log.count - 1)
        return message_of(lines[-1].text) if lines else ""

    def _follow_log(self, wanted: bool) -> None:
        """Show each new message of the log, from the last iteration to the end of the run."""
        if wanted and not self._log_timer.isActive():
            self._log_timer.start()
        elif not wanted:
            self._log_timer.stop()

    def _failure(self) -> str:
        """Return the error of the last run; empty if it did not fail."""
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

    def _on_iterations(self, wanted: bool) -> None:
        try:
            if wanted:
                self._session.layers.show_history()
            else:
                self._session.layers.show_newest()
        except Ini3dError as error:
            show_error(str(error))
        self.refresh()

    def _connect(self) -> None:
        self.run.clicked.connect(lambda: self.run_clicked.emit())
        self.resume.clicked.connect(lambda: self.resume_clicked.emit())
        self.pause.clicked.connect(self._on_pause)
        self.stop.clicked.connect(self._session.stop)
        self.leave.clicked.connect(self._session.leave)
        self.iterations.clicked.connect(self._on_iterations)
        self._session.state_changed.connect(self._on_session)
        self._session.counted.connect(self.refresh)
        self._session.layers.changed.connect(self._on_layers)

    def _on_layers(self) -> None:
        self.iterations.setChecked(self._session.layers.history_visible)
        self._update_iterations()

    def _on_session(self, _: object) -> None:
        self.refresh()

    def _lay_out(self) -> None:
        column = QVBoxLayout(self)
        column.setContentsMargins(4, 2, 4, 2)
        column.addWidget(self.status)
        column.addWidget(self.bar)
        buttons = (self.run, self.pause, self.stop, self.resume)
        for row in (buttons, (self.iterations, self.leave)):
            column.addLayout(make_flow(*row))
        self.bar.setAlignment(Qt.AlignmentFlag.AlignCenter)

    def _explain(self) -> None:
        for widget, text in (
            (
                self.run,
                f"Start a run with these settings ({RUN}). Its files are written to the output "
                "folder.",
            ),
            (
                self.stop,
                f"Stop after the current iteration ({STOP}) and write its maps. The run can be "
                "resumed.",
            ),
            (
                self.leave,
                "Stop following the run, which goes on without this window. It can be followed "
                "again: choose it in the list Runs, or drop its folder into the window.",
            ),
            (self.resume, "Resume the run in the output folder from its last iteration."),
            (
                self.iterations,
                "Show all iterations on the slider below the canvas; its button ▶ plays them. At "
                "the last step, the slider follows new iterations. "
                f"{PREVIOUS} and {NEXT} show the previous and the next iteration. Pressed again, "
                "it shows the newest maps.",
            ),
        ):
            widget.setToolTip(f"<p>{text}</p>")
