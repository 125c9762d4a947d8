"""Buttons, progress and words about the run of a viewer."""

from __future__ import annotations

from pathlib import Path

from napari.utils.notifications import show_error
from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QGridLayout, QLabel, QProgressBar, QPushButton, QWidget

from napari_ini3d.errors import Ini3dError, explain
from napari_ini3d.plugin.session import (
    RunSession,
    beginning_text,
    expected_end,
    is_done,
    settings_of,
    status_text,
)

_PAUSE = "Hold after the iteration in hand. Memory stays taken."
_CONTINUE = "Let the run go on from where it is held."


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
        self.pause.setToolTip(f"<p>{_CONTINUE if state == 'paused' else _PAUSE}</p>")
        self.stop.setEnabled(state in ("running", "paused"))
        self.look_back.setEnabled(bool(self._session.summaries))
        self.look_back.setChecked(self._session.layers.looking_back)
        self._show_progress()
        self._update_look_back()

    def _update_look_back(self) -> None:
        """Say on the button which iteration is looked back at."""
        shown = self._session.layers.shown_iteration()
        if shown is None:
            self.look_back.setText("Show iterations")
            return
        of = {summary.iteration: summary for summary in self._session.summaries}
        known = of.get(shown)
        resolution = "" if known is None else f", {known.best_resolution:.1f} Å"
        self.look_back.setText(f"Iteration {shown}{resolution} (press for the newest)")

    def _show_progress(self) -> None:
        summaries = self._session.summaries
        if not summaries:
            # no moving bar: without a graphics card it alone takes a quarter of a core
            self.bar.setRange(0, 1)
            self.bar.setValue(0)
            begun = self._session.run_folder is not None
            self.status.setText(self._failure() or beginning_text(self._session.state, begun=begun))
            return
        last = summaries[-1]
        settings = settings_of(self._session.run_folder)
        end = last.iteration if is_done(last) else expected_end(summaries, settings)
        self.bar.setRange(0, end)
        self.bar.setValue(last.iteration)
        self.status.setText(
            self._failure() or status_text(summaries, self._session.state, settings)
        )

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
        self._session.counted.connect(self.refresh)
        self._session.layers.changed.connect(self._on_layers)

    def _on_layers(self) -> None:
        self.look_back.setChecked(self._session.layers.looking_back)
        self._update_look_back()

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
            (self.stop, "End after the iteration in hand and write its maps; can be resumed."),
            (self.resume, "Go on with the run in the output folder, from its last iteration."),
            (
                self.look_back,
                "Show every iteration as a step of the slider below the picture; the slider's "
                "button ▶ plays them. At the last step, new iterations are followed.",
            ),
        ):
            widget.setToolTip(f"<p>{text}</p>")
