"""Following of a run that another process computes, from what it writes to its folder.

Nothing but the folder connects the two: the run may have been started by a window, on the command
line, or on another machine with which this one shares a disk. Files are read again and again, as
shared disks do not notify; what is not complete yet is read the next time.
"""

from __future__ import annotations

import time
from pathlib import Path

from napari_ini3d.errors import RunFolderError
from napari_ini3d.runs.file_tail import FileTail, NewLines
from napari_ini3d.runs.folder import Outcome, RunFolder
from napari_ini3d.runs.lock import is_locked, read_owner
from napari_ini3d.runs.newest_maps import IterationMaps, read_maps_of, read_newest_maps
from napari_ini3d.runs.progress_file import parse_lines
from napari_ini3d.runs.read_summaries import parse_summaries
from napari_ini3d.runs.summary import IterationSummary
from napari_ini3d.runs.validation_progress import ValidationProgress, read_validation_progress

_LOCK_SECONDS = 5.0  # between two looks at the lock of another machine, which write to the disk


class RunFollower:
    """Reads the iterations, maps and log messages of a run as they are written.

    Parameters
    ----------
    path : Path
        Folder of the run; it need not exist yet.

    Attributes
    ----------
    folder : RunFolder
    summaries : tuple of IterationSummary
        The iterations so far; a new tuple when there are more, or the run went back.
    """

    def __init__(self, path: Path) -> None:
        self.folder = RunFolder(Path(path).absolute())
        self.summaries: tuple[IterationSummary, ...] = ()
        self._progress = FileTail(self.folder.progress_path)
        self._log = FileTail(self.folder.log_path)
        self._next_look = 0.0
        self._locked = True

    @property
    def is_going_on(self) -> bool:
        """True while a process holds the lock of the folder."""
        try:
            owner = read_owner(self.folder.path)
            if owner is not None and owner.is_alive is not None:
                return owner.is_alive
            if owner is None or time.monotonic() >= self._next_look:
                self._next_look = time.monotonic() + _LOCK_SECONDS
                self._locked = is_locked(self.folder.path)
        except OSError:  # the file server does not answer: as it was
            pass
        return self._locked

    def outcome(self) -> Outcome | None:
        """Return how the run ended; None if it is going on, or was killed."""
        return self.folder.outcome()

    def read_progress(self) -> bool:
        """Read new iterations; return whether there are any, or the run went back.

        Raises
        ------
        RunFolderError
            If they were written by another version.
        """
        new = self._progress.read()
        if not new.lines and not new.replaced:
            return False
        path = self.folder.progress_path
        found = parse_summaries(parse_lines(new.lines, path), path.name)
        self.summaries = (*(() if new.replaced else self.summaries), *found)
        return True

    def read_log(self) -> NewLines:
        """Return the new lines of the log."""
        return self._log.read()

    def read_validation(self) -> ValidationProgress | None:
        """Return how far the validation is; None if it has not begun."""
        return read_validation_progress(self.folder)

    def read_maps(self, *, ended: bool = False) -> IterationMaps | None:
        """Return the maps of the newest iteration; None if they are not there yet.

        Parameters
        ----------
        ended : bool
            Whether the run has ended, so that no newer ones follow.
        """
        if not self.summaries:
            return None
        newest = self.summaries[-1]
        found = read_newest_maps(self.folder)
        if found is not None and found.iteration == newest.iteration:
            return found
        if found is None or ended:
            return read_maps_of(self.folder, newest)
        return None

    def n_classes(self) -> int:
        """Return the number of classes of the whole run; annealed classes start with one map."""
        try:
            return self.folder.read_record().settings.classes
        except RunFolderError:
            return len(self.summaries[-1].resolution) if self.summaries else 1
