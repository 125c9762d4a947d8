"""Following of a run in a worker thread; no Qt here.

The run computes in another process (`session.run_process`). The thread reads its folder and hands
the newest maps to the window; neither waits for the other. It never raises: an error is stored.
(Workers of napari swallow some errors silently.)
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from napari_ini3d._types import FloatArray
from napari_ini3d.errors import Ini3dError
from napari_ini3d.plugin.session.latest_value import LatestValue
from napari_ini3d.plugin.session.log_buffer import LogTail
from napari_ini3d.plugin.session.run_process import RunProcess
from napari_ini3d.plugin.session.status import is_done
from napari_ini3d.runs import IterationSummary, RunFollower, RunRequests, ValidationProgress

POLL_SECONDS = 0.1
"""Time between two looks at the folder of a run of this window."""

FOREIGN_POLL_SECONDS = 0.5
"""The same for a run that was started elsewhere, perhaps on a shared disk."""

Activity = Literal["running", "paused", "stopping"]


@dataclass(frozen=True, slots=True)
class Progress:
    """An iteration as the window shows it.

    Attributes
    ----------
    summary : IterationSummary
    volumes : (K, n, n, n) float32
        Maps, (z, y, x).
    n_classes : int
        Of the whole run; annealed classes start with fewer maps.
    """

    summary: IterationSummary
    volumes: FloatArray
    n_classes: int = 1


class BackgroundRun:
    """Follows a run in its own thread until it ends, or the window leaves it.

    Parameters
    ----------
    process : RunProcess
        It computes the run; started by the thread.
    folder : Path
        Output folder.
    log : LogTail
        Gets the log lines of the run.

    Attributes
    ----------
    latest : LatestValue of Progress
    error : BaseException or None
        That ended the run.
    ended : bool
        Whether the run has ended; False while it goes on, also if the window has left it.
    summaries : tuple of IterationSummary
        The iterations so far; a new tuple when there are more.
    validation : ValidationProgress or None
        How far the validation is; None before the last iteration.
    """

    def __init__(self, process: RunProcess, folder: Path, log: LogTail) -> None:
        self.folder = folder
        self.latest: LatestValue[Progress] = LatestValue()
        self.error: BaseException | None = None
        self.ended = False
        self.validation: ValidationProgress | None = None
        self._process = process
        self._log = log
        self._follower = RunFollower(folder)
        self._requests = RunRequests(folder)
        self._log_before = self._log_size()
        self._begun = not process.is_own
        self._published: IterationSummary | None = None
        self._stop = self._paused = self._pause_changed = self._left = False
        self._refused: Ini3dError | None = None
        self._wake = threading.Event()

    def __repr__(self) -> str:  # shown by napari before it closes
        if self.is_own:
            return f"the initial model in {self.folder}"
        return f"the following of {self.folder}, a run that goes on"

    @property
    def is_own(self) -> bool:
        """Whether this window has started the run."""
        return self._process.is_own

    @property
    def summaries(self) -> tuple[IterationSummary, ...]:
        """The iterations so far; a new tuple when there are more."""
        return self._follower.summaries

    @property
    def activity(self) -> Activity:
        """What the run does, or was asked to do."""
        if self._stop:
            return "stopping"
        return "paused" if self._paused else "running"

    def stop(self) -> None:
        """Stop the run after the current iteration; its results are written."""
        self._stop = True
        self._wake.set()

    def pause(self) -> None:
        """Pause the run after the current iteration; its memory is not released."""
        self._paused = self._pause_changed = True
        self._wake.set()

    def unpause(self) -> None:
        """Continue a paused run."""
        self._paused, self._pause_changed = False, True
        self._wake.set()

    def leave(self) -> None:
        """Stop following the run, which goes on, or stops if it was asked to."""
        self._left = True
        self._wake.set()

    def take_refusal(self) -> Ini3dError | None:
        """Return the reason why a request could not be made, once."""
        refused, self._refused = self._refused, None
        return refused

    def __call__(self) -> None:
        """Follow the run; called in the thread."""
        if self._stop and self.is_own:  # before it was started
            self.ended = True
            return
        try:
            self._process.start()
            while not self.ended and not self._left:
                self._look()
                if not self.ended:
                    self._wake.wait(POLL_SECONDS if self.is_own else FOREIGN_POLL_SECONDS)
                    self._wake.clear()
            if not self.ended:
                self._look()  # makes the last request
        except BaseException as error:
            self.error, self.ended = error, True
        finally:
            self._process.release()

    def _look(self) -> None:
        """Make requests, read what is new, and note whether the run has ended."""
        ending = self._process.poll()  # first: what was written before is read below
        self._begun = self._begun or self._log_size() != self._log_before
        if ending is None:
            self._try_requests()
        self._read_log()
        if self._begun:
            self._follower.read_progress()
            self._publish(ended=ending is not None)
        if ending is not None:
            self.error, self.ended = ending.error, True

    def _try_requests(self) -> None:
        try:
            self._make_requests()
        except Ini3dError as error:
            self._refused = error
            self._stop = self._pause_changed = False

    def _make_requests(self) -> None:
        """Pass on what the window asks for, and learn what others have asked for."""
        if not self._begun:
            if self._stop:
                self._process.interrupt()
            return
        if self._pause_changed:
            self._pause_changed = False
            if self._paused:
                self._requests.pause()
            else:
                self._requests.unpause()
        else:
            self._paused = self._requests.pause_requested
        if self._requests.stop_requested:
            self._stop = True
        elif self._stop:
            self._requests.stop()

    def _read_log(self) -> None:
        new = self._follower.read_log()
        if new.replaced:
            self._log.reset()
        self._log.add(new.lines)
        if not self._begun:
            self._log.add(self._process.read_messages())

    def _publish(self, *, ended: bool) -> None:
        """Hand the maps of the newest iteration to the window, unless it has them."""
        summaries = self._follower.summaries
        if not summaries:
            return
        newest = summaries[-1]
        if is_done(newest):  # at its end the file is removed, before the run has ended
            self.validation = self._follower.read_validation() or self.validation
        if newest is self._published:
            return
        found = self._follower.read_maps(ended=ended)
        if found is None:
            return
        self._published = newest
        n_classes = max(self._follower.n_classes(), len(found.volumes))
        self.latest.put(Progress(newest, found.volumes, n_classes))

    def _log_size(self) -> tuple[int, int]:
        """Return file and size of the log, which a run writes to as soon as it has begun."""
        try:
            status = self._follower.folder.log_path.stat()
        except OSError:
            return 0, -1
        return status.st_ino, status.st_size
