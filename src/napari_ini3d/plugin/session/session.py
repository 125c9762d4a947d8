"""The run of a viewer: started, followed and ended here, whichever docks are open.

A session belongs to the viewer. The computation is in a worker thread (`background`); a timer
in the window's thread takes the newest of what it has found, at most ten times a second, and
what was not taken by then is dropped. Where drawing is slow (without a graphics card it takes
seconds, in which Python's other threads stand still), maps are shown more seldom, so that the
run keeps most of the time.
"""

from __future__ import annotations

import functools
import logging
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self
from weakref import WeakKeyDictionary, ref

from napari import current_viewer
from napari.qt.threading import FunctionWorker, create_worker
from napari.utils.notifications import show_error
from qtpy.QtCore import QObject, QTimer, Signal

from napari_ini3d.errors import RunFolderError, explain
from napari_ini3d.jobs import resume_run, start_run
from napari_ini3d.plugin.session.activity import Activity
from napari_ini3d.plugin.session.live_layers import LiveLayers
from napari_ini3d.plugin.session.log_buffer import LogTail
from napari_ini3d.plugin.session.status import expected_end, settings_of
from napari_ini3d.plugin.session.worker import BackgroundRun, Progress, Start
from napari_ini3d.plugin.viewer import unwrap_proxy
from napari_ini3d.runs import IterationSummary, RunFolder, run_command

if TYPE_CHECKING:
    import napari

    from napari_ini3d.plugin.initial_model import FormState
    from napari_ini3d.settings import InitialModelSettings

logger = logging.getLogger(__name__)

State = Literal["idle", "running", "paused", "stopping"]

UPDATE_MS = 100
"""Time between two looks into the mailbox, in milliseconds."""

_REST = 4.0  # times as long as drawing took, until the next map is drawn ...
_LATE = 1.5  # times the interval of the timer, from which on it was held up by drawing
_LONGEST_REST = 10.0  # ... but no more seconds


class _RunWorker(FunctionWorker):
    """A worker whose `quit`, by which napari ends it when a window closes, stops the run."""

    def __init__(self, run: BackgroundRun) -> None:
        super().__init__(run)
        self._run_to_stop = run

    def quit(self) -> None:
        """End the run after the iteration in hand."""
        self._run_to_stop.stop()


class RunSession(QObject):
    """What one viewer's docks share about its run.

    Signals
    -------
    state_changed : str
        "idle", "running", "paused" or "stopping".
    progressed : Progress
        The newest iteration; those before it since the last one are in `summaries`.
    counted
        Iterations have been added to `summaries`, drawn or not.
    failed : BaseException
        What went wrong; the run is over.
    finished : Path
        The folder of a run that has come to its end, or was stopped with its results kept.

    Attributes
    ----------
    run_folder : Path or None
        Of the run that goes on, or went on last.
    summaries : list of IterationSummary
        Of all its iterations so far.
    latest : Progress or None
        Of its newest iteration; None before the first.
    error : BaseException or None
        By which the last run ended.
    dropped : int
        Iterations whose maps were not shown because newer ones had come.
    log : LogTail
    layers : LiveLayers
    form_state : FormState or None
        What stood in the form, for a dock that is opened again.
    """

    state_changed = Signal(str)
    progressed = Signal(object)
    counted = Signal()
    failed = Signal(object)
    finished = Signal(object)

    def __init__(self, viewer: napari.Viewer) -> None:
        super().__init__()
        self.state: State = "idle"
        self.run_folder: Path | None = None
        self.summaries: list[IterationSummary] = []
        self.latest: Progress | None = None
        self.error: BaseException | None = None
        self.dropped = 0
        self.log = LogTail()
        self.form_state: FormState | None = None
        self.layers = LiveLayers(ref(viewer))
        self._viewer = ref(viewer)
        self._activity = Activity()
        self._run: BackgroundRun | None = None
        self._undrawn = False
        self._shown_at: float | None = None
        self._rest_until = 0.0
        self._timer = QTimer(self)
        self._timer.setInterval(UPDATE_MS)
        self._timer.timeout.connect(self._look)

    @classmethod
    def of(cls, viewer: napari.Viewer) -> Self:
        """Return the session of a viewer; the same one each time."""
        real: Any = unwrap_proxy(viewer)  # docks are given a new proxy each
        if real not in _sessions:
            _sessions[real] = cls(real)
        session: Self = _sessions[real]
        return session

    @property
    def busy(self) -> bool:
        """True while a run goes on, or is held."""
        return self.state != "idle"

    def start(self, star: Path, output: Path, settings: InitialModelSettings) -> None:
        """Start a run; what is wrong with it comes as `failed`.

        Parameters
        ----------
        star : Path
            STAR file of the particles.
        output : Path
            Folder of the run.
        settings : InitialModelSettings

        Raises
        ------
        RunFolderError
            If a run of this viewer is going on.
        """
        command = run_command(star, output, settings)
        self._begin(
            lambda stop: start_run(star, output, settings, command=command, stop=stop), output
        )

    def resume(
        self, folder: Path, *, from_iteration: int | None = None, iterations: int | None = None
    ) -> None:
        """Go on with a run, as `jobs.resume_run` does.

        Raises
        ------
        RunFolderError
            If a run of this viewer is going on.
        """
        options = {"from_iteration": from_iteration, "iterations": iterations}
        self._begin(functools.partial(_resume, folder, options), folder)

    def reopen(self, folder: Path) -> None:
        """Show a run that was done before: its numbers, and its iterations to look back at.

        Raises
        ------
        RunFolderError
            If a run of this viewer is going on, or there is none in the folder.
        """
        self._refuse_while_busy()
        run = RunFolder.open(Path(folder))
        self.summaries = [IterationSummary.from_json(line) for line in run.read_progress()]
        self.run_folder, self.latest, self.error, self.dropped = run.path, None, None, 0
        self.layers.look_back(run.path)
        self.log.begin_anew(run.log_path)
        self._change_state("idle")

    def forget(self, folder: Path) -> None:
        """Show nothing of a run any more that would be read from its folder.

        Raises
        ------
        RunFolderError
            If the run is going on, in this viewer or in another.
        """
        for session in _sessions.values():
            if session.busy and session.run_folder == folder:
                raise RunFolderError(f"the run in {folder} is going on; stop it first")
        self.layers.forget(folder)
        if self.run_folder == folder and not self.busy:
            self.run_folder, self.summaries, self.latest, self.error = None, [], None, None
            self.log.begin_anew()
            self._change_state("idle")

    def pause(self) -> None:
        """Hold the run after the iteration in hand; its memory stays taken."""
        if self._run is not None and self.state == "running":
            self._run.pause()
            self._change_state("paused")

    def unpause(self) -> None:
        """Let a held run go on."""
        if self._run is not None and self.state == "paused":
            self._run.unpause()
            self._change_state("running")

    def stop(self) -> None:
        """End the run after the iteration in hand; its results are written."""
        if self._run is not None and self.busy:
            self._run.stop()
            self._change_state("stopping")

    def _begin(self, start: Start, folder: Path) -> None:
        self._refuse_while_busy()
        self.run_folder = Path(folder).absolute()
        self.summaries, self.latest, self.error, self.dropped = [], None, None, 0
        self._undrawn = False
        self._run = BackgroundRun(start, self.run_folder)
        self.layers.begin(self.run_folder)
        log_path = RunFolder(self.run_folder).log_path
        self.log.begin_anew(log_path)  # of a run that is resumed
        self.log.listen(log_path)
        worker = self._make_worker(self._run)
        self._change_state("running")
        self._activity.begin(f"Initial model {self.run_folder.name}")
        self._timer.start()
        worker.start()

    def _make_worker(self, run: BackgroundRun) -> Any:
        """Return a worker that this viewer's window stops when it closes, and no other.

        Napari has the window that is in front look after a worker that is made.
        """
        viewer = self._viewer()
        if viewer is not None and viewer is not current_viewer():
            viewer.window.activate()
        worker: Any = create_worker(run, _worker_class=_RunWorker)
        worker.finished.connect(self._end)
        return worker

    def _refuse_while_busy(self) -> None:
        if self.busy:
            raise RunFolderError(
                f"a run is going on in {self.run_folder}; stop it or wait for its end, then start "
                "the next one"
            )

    def _look(self) -> None:
        """Take what has come from the worker, and show it."""
        run = self._run
        if run is None:
            return
        if run.stopping and self.state != "stopping":  # napari asked the worker to quit
            self._change_state("stopping")
        new = run.take_summaries()
        self.summaries += new
        resting = self._is_resting()
        if new:
            self.counted.emit()
        progress, dropped = (None, 0) if resting else run.latest.take()
        if progress is not None:
            self.dropped += dropped
            self._show(progress.with_dropped(dropped))

    def _is_resting(self) -> bool:
        """Tell whether the last map took so long to draw that the next one has to wait.

        A map is drawn before this timer comes again, so that it comes late by the time of drawing.
        """
        now = time.monotonic()
        if self._shown_at is not None:
            taken, self._shown_at = now - self._shown_at, None
            if taken > _LATE * UPDATE_MS / 1000:
                self._rest_until = now + min(_REST * taken, _LONGEST_REST)
        return now < self._rest_until

    def _show(self, progress: Progress) -> None:
        self.latest = progress
        self._shown_at = time.monotonic()
        self._draw(progress)
        self.progressed.emit(progress)
        expected = expected_end(self.summaries, settings_of(self.run_folder))
        self._activity.move(progress.summary.iteration, expected)

    def _draw(self, progress: Progress) -> None:
        """Show the maps; where that fails, the run goes on, and it is said once."""
        try:
            self.layers.show(progress)
        except Exception as error:
            logger.exception("iteration %d is not shown", progress.summary.iteration)
            if not self._undrawn:
                show_error(f"The map is not shown, the run goes on. {explain(error)}")
            self._undrawn = True

    def _end(self) -> None:
        run = self._run
        if run is None:
            return
        self._timer.stop()
        self._rest_until, self._shown_at = 0.0, None
        self._look()
        self._activity.end()
        self.log.leave()
        self._run, self.error = None, run.error
        self._change_state("idle")
        if run.error is None:
            self.finished.emit(run.folder)
            return
        show_error(_advise(run.error, run.folder, underway=bool(self.summaries)))
        self.failed.emit(run.error)

    def _change_state(self, state: State) -> None:
        self.state = state
        self.state_changed.emit(state)


_sessions: WeakKeyDictionary[Any, Any] = WeakKeyDictionary()


def _resume(folder: Path, options: dict[str, int | None], stop: Any) -> Any:
    return resume_run(folder, stop=stop, **options)


def _advise(error: BaseException, folder: Path, *, underway: bool) -> str:
    """Say what went wrong, and how to go on where the run can be resumed.

    A folder that was refused before the first iteration is no run of this session.
    """
    resumable = RunFolder(folder).has_begun and (underway or not isinstance(error, RunFolderError))
    way_out = f"\nOnce that is mended, resume the run in {folder}." if resumable else ""
    return explain(error) + way_out
