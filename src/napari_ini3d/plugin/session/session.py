"""Session of a viewer: starts, follows and stops its run, whichever docks are open.

A session belongs to the viewer. The run computes in a process of its own, or was started elsewhere;
a worker thread reads its folder (`session.worker`). A timer in the thread of the window takes the
newest maps at most ten times a second; older ones are dropped. Drawing in software (without a GPU)
takes seconds. Then maps are shown less often, so that the window can be used in between.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from weakref import ref

from napari import current_viewer
from napari.qt.threading import FunctionWorker, create_worker
from napari.utils.notifications import show_error
from qtpy.QtCore import QObject, QTimer, Signal

from napari_ini3d.errors import RunFolderError, explain
from napari_ini3d.plugin.session.activity import Activity
from napari_ini3d.plugin.session.live_layers import LiveLayers
from napari_ini3d.plugin.session.log_buffer import LogTail
from napari_ini3d.plugin.session.mesh_preparation import MeshPreparation
from napari_ini3d.plugin.session.pace import Pace
from napari_ini3d.plugin.session.run_process import (
    ForeignProcess,
    RunProcess,
    resume_process,
    start_process,
)
from napari_ini3d.plugin.session.status import expected_end, failure_text, settings_of
from napari_ini3d.plugin.session.worker import BackgroundRun, Progress
from napari_ini3d.plugin.viewer import PerViewer, PreparedMesh, allow_threads
from napari_ini3d.runs import (
    IterationSummary,
    RunFolder,
    ValidationProgress,
    is_locked,
    read_summaries,
)

if TYPE_CHECKING:
    import napari

    from napari_ini3d.plugin.initial_model import FormState
    from napari_ini3d.settings import InitialModelSettings

logger = logging.getLogger(__name__)

State = Literal["idle", "running", "paused", "stopping"]

UPDATE_MS = 100
"""Interval at which new maps are taken from the worker, in milliseconds."""


class _RunWorker(FunctionWorker):
    """A worker whose `quit`, which napari calls when a window closes, leaves the run.

    Attributes
    ----------
    keeps_run : bool
        Whether a run of this window goes on then; else it is stopped.
    """

    def __init__(self, run: BackgroundRun) -> None:
        super().__init__(run)
        self._run_to_leave = run
        self.keeps_run = False

    def quit(self) -> None:
        """Leave the run; one of this window is stopped after its current iteration."""
        if self._run_to_leave.is_own and not self.keeps_run:
            self._run_to_leave.stop()
        self._run_to_leave.leave()


class RunSession(QObject):
    """The run of a viewer, shared by its docks.

    Signals
    -------
    state_changed : str
        "idle", "running", "paused" or "stopping".
    progressed : Progress
        The newest iteration is shown; earlier ones are in `summaries`.
    counted
        Iterations have been added to `summaries`, whether shown or not.
    failed : BaseException
        The error that ended the run.
    finished : Path
        Folder of a run that has finished or was stopped.
    left : Path
        Folder of a run that goes on, and is not followed any more.

    Attributes
    ----------
    run_folder : Path or None
        Folder of the current or the last run.
    summaries : list of IterationSummary
        All its iterations so far.
    latest : Progress or None
        Its newest iteration; None before the first.
    error : BaseException or None
        That ended the last run.
    goes_on : bool
        True if the last run goes on, and is not followed any more.
    dropped : int
        Number of iterations whose maps were not shown, because newer ones had arrived.
    log : LogTail
    layers : LiveLayers
    form_state : FormState or None
        Content of the form, for a dock that is opened again.
    """

    state_changed = Signal(str)
    progressed = Signal(object)
    counted = Signal()
    failed = Signal(object)
    finished = Signal(object)
    left = Signal(object)

    def __init__(self, viewer: napari.Viewer) -> None:
        super().__init__()
        self.state: State = "idle"
        self.run_folder: Path | None = None
        self.summaries: list[IterationSummary] = []
        self.latest: Progress | None = None
        self.error: BaseException | None = None
        self.goes_on = False
        self.dropped = 0
        self.log = LogTail()
        self.form_state: FormState | None = None
        self.layers = LiveLayers(ref(viewer))
        self._meshes = MeshPreparation(self._draw)
        self._viewer = ref(viewer)
        self._activity = Activity()
        self._run: BackgroundRun | None = None
        self._worker: _RunWorker | None = None
        self._undrawn = False
        self._seen: tuple[IterationSummary, ...] = ()
        self._dropped_after = 0  # iteration from which maps that were not shown are counted
        self._pace = Pace()
        self._timer = QTimer(self)
        self._timer.setInterval(UPDATE_MS)
        self._timer.timeout.connect(self._update)

    @classmethod
    def of(cls, viewer: napari.Viewer) -> RunSession:
        """Return the session of a viewer; the same one each time."""
        return _sessions.of(viewer)  # each dock has a proxy of its own

    @property
    def busy(self) -> bool:
        """True while a run is in progress or paused."""
        return self.state != "idle"

    @property
    def can_control(self) -> bool:
        """True while a run is in progress whose folder can be written, to stop and pause it."""
        folder = self.run_folder
        if self._run is None or folder is None:
            return False
        return self._run.is_own or os.access(folder, os.W_OK)

    @property
    def validation(self) -> ValidationProgress | None:
        """How far the validation of the run in progress is; None before its last iteration."""
        return None if self._run is None else self._run.validation

    @property
    def is_own_run(self) -> bool:
        """True while a run is in progress that this window has started."""
        return self._run is not None and self._run.is_own

    def start(
        self, star: Path, output: Path, settings: InitialModelSettings, cluster: str = ""
    ) -> None:
        """Start a run; errors are emitted as `failed`.

        Parameters
        ----------
        star, output : Path
            Particles, and the folder of the run.
        settings : InitialModelSettings
        cluster : str
            As for ``ini3d run --cluster``; empty for this machine.

        Raises
        ------
        RunFolderError
            If a run of this viewer is in progress.
        """
        self._begin(start_process(star, output, settings, cluster), output)

    def resume(self, folder: Path, cluster: str = "", **choice: int | None) -> None:
        """Resume a run, as `jobs.resume_run` does.

        Raises
        ------
        RunFolderError
            If a run of this viewer is in progress.
        """
        self._begin(resume_process(folder, cluster, **choice), folder)

    def follow(self, folder: Path) -> None:
        """Follow a run that goes on and was started elsewhere, also on another machine.

        Raises
        ------
        RunFolderError
            If a run of this viewer is in progress, or none goes on in the folder.
        """
        run = RunFolder.open(Path(folder))
        if not is_locked(run.path):
            raise RunFolderError(f"no run is going on in {run.path}; show its maps, or resume it")
        self._begin(ForeignProcess(run.path), run.path)

    def leave(self) -> None:
        """Stop following the run, which goes on without the window."""
        if self._worker is not None:
            self._worker.keeps_run = True
            self._worker.quit()

    def keep_when_closed(self) -> None:
        """Let the run of this window go on when the window closes."""
        if self._worker is not None:
            self._worker.keeps_run = True

    def reopen(self, folder: Path) -> None:
        """Show a finished or stopped run: its numbers and its iterations.

        Raises
        ------
        RunFolderError
            If a run of this viewer is in progress, or the folder has no run.
        """
        self._refuse_while_busy()
        run = RunFolder.open(Path(folder))
        self.summaries = read_summaries(run)
        self.run_folder, self.latest, self.error, self.dropped = run.path, None, None, 0
        self.goes_on = False
        self._meshes.cancel()
        self.layers.show_history(run.path)
        self.log.reset(run.log_path)
        self._change_state("idle")

    def forget(self, folder: Path) -> None:
        """Remove everything that would be read from the folder of a run.

        Raises
        ------
        RunFolderError
            If the run is in progress, in this viewer or another.
        """
        for session in _sessions.all():
            if session.busy and session.run_folder == folder:
                raise RunFolderError(f"the run in {folder} is in progress; stop it first")
        self.layers.forget(folder)
        if self.run_folder == folder and not self.busy:
            self.run_folder, self.summaries, self.latest, self.error = None, [], None, None
            self.log.reset()
            self._change_state("idle")

    def pause(self) -> None:
        """Pause the run after the current iteration; its memory is not released."""
        if self._run is not None and self.state == "running":
            self._run.pause()
            self._change_state("paused")

    def unpause(self) -> None:
        """Continue a paused run."""
        if self._run is not None and self.state == "paused":
            self._run.unpause()
            self._change_state("running")

    def stop(self) -> None:
        """Stop the run after the current iteration; its results are written."""
        if self._run is not None and self.busy:
            self._run.stop()
            self._change_state("stopping")

    def _begin(self, process: RunProcess, folder: Path) -> None:
        self._refuse_while_busy()
        self.run_folder = Path(folder).absolute()
        self.summaries, self.latest, self.error, self.dropped = [], None, None, 0
        self.goes_on = self._undrawn = False
        self._pace.begin()
        self._seen = ()
        self._dropped_after = -1 if (self.run_folder / "progress.jsonl").exists() else 0
        self.log.reset()
        self._run = BackgroundRun(process, self.run_folder, self.log)
        self._meshes.cancel()
        self.layers.begin(self.run_folder)
        self._worker = worker = self._make_worker(self._run)
        self._change_state("running")
        self._activity.begin(f"Initial model {self.run_folder.name}")
        self._timer.start()
        worker.start()

    def _make_worker(self, run: BackgroundRun) -> Any:
        """Return a worker that napari stops when the window of this viewer closes.

        Napari assigns a new worker to the active window.
        """
        viewer = self._viewer()
        if viewer is not None and viewer is not current_viewer():
            viewer.window.activate()
        allow_threads()
        worker: Any = create_worker(run, _worker_class=_RunWorker)
        worker.finished.connect(self._end)
        return worker

    def _refuse_while_busy(self) -> None:
        if self.busy:
            raise RunFolderError(
                f"a run is in progress in {self.run_folder}; stop it, or wait until it ends, then "
                "start the next one"
            )

    def _update(self) -> None:
        """Take new results from the worker and show them."""
        run = self._run
        if run is None:
            return
        refused = run.take_refusal()
        if refused is not None:
            show_error(str(refused))
        if self.state not in ("idle", run.activity):  # asked for elsewhere, or refused
            self._change_state(run.activity)
        progress, _ = (None, 0) if self._pace.is_resting() else run.latest.take()
        self._count(run.summaries, now=progress is not None)
        if progress is not None:
            self._count_dropped(progress.summary.iteration)
            self._show(progress)

    def _count(self, summaries: tuple[IterationSummary, ...], *, now: bool) -> None:
        """Take over new iterations, with a map or after a while."""
        if summaries is not self._seen and (now or self._pace.is_count_due()):
            self._seen = summaries
            self.summaries = list(summaries)
            self.counted.emit()

    def _count_dropped(self, shown: int) -> None:
        """Count the iterations since the last map that was shown."""
        if self._dropped_after >= 0:
            numbers = [summary.iteration for summary in self.summaries]
            self.dropped += sum(self._dropped_after < number < shown for number in numbers)
        self._dropped_after = shown

    def _show(self, progress: Progress) -> None:
        self.latest = progress
        self._meshes.show(progress, self.layers.mesh_requests(progress))
        self.progressed.emit(progress)
        settings = settings_of(self.run_folder)
        expected = expected_end(self.summaries, settings)
        follows = settings is not None and settings.independent_half_sets  # after the iterations
        self._activity.move(progress.summary.iteration, expected + follows)

    def _draw(self, progress: Progress, meshes: Mapping[int, PreparedMesh]) -> None:
        """Show the maps; if that fails, report it once and let the run go on."""
        self._pace.note_shown()
        try:
            self.layers.show(progress, meshes)
        except Exception as error:
            logger.exception("iteration %d is not shown", progress.summary.iteration)
            if not self._undrawn:
                show_error(f"The map cannot be shown. The run continues. {explain(error)}")
            self._undrawn = True

    def _end(self) -> None:
        run = self._run
        if run is None:
            return
        self._timer.stop()
        self._pace.begin()
        self._update()
        self._activity.end()
        self._run, self._worker, self.error = None, None, run.error
        self.goes_on = not run.ended
        self._change_state("idle")
        if self.goes_on:
            self.left.emit(run.folder)
            return
        if run.error is None:
            self.finished.emit(run.folder)
            return
        show_error(failure_text(run.error, run.folder, underway=bool(self.summaries)))
        self.failed.emit(run.error)

    def _change_state(self, state: State) -> None:
        self.state = state
        self.state_changed.emit(state)


_sessions = PerViewer(RunSession)
