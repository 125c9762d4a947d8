"""Requests to a run: files in its folder, with which any process asks it to stop or to pause.

They work for runs of the command line and of a window, on this machine and, through a shared disk,
on others. ``RELION_JOB_ABORT_NOW`` is the file with which RELION aborts a job. The run looks for
them after each iteration, and removes them when it starts and when it ends.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from napari_ini3d.runs.storage import explain_os_errors


@dataclass(frozen=True, slots=True)
class RunRequests:
    """Requests to the run in a folder.

    Attributes
    ----------
    folder : Path
    """

    folder: Path

    @property
    def stop_path(self) -> Path:
        """While it exists, the run ends after the current iteration, and can be resumed."""
        return self.folder / "RELION_JOB_ABORT_NOW"

    @property
    def pause_path(self) -> Path:
        """While it exists, the run waits after the current iteration."""
        return self.folder / "run.pause"

    @property
    def stop_requested(self) -> bool:
        return self.stop_path.exists()

    @property
    def pause_requested(self) -> bool:
        return self.pause_path.exists()

    def stop(self) -> None:
        """Ask the run to end after the current iteration.

        Raises
        ------
        RunFolderError
            If the folder cannot be written.
        """
        with explain_os_errors(self.stop_path):
            self.stop_path.touch()

    def pause(self) -> None:
        """Ask the run to wait after the current iteration.

        Raises
        ------
        RunFolderError
            If the folder cannot be written.
        """
        with explain_os_errors(self.pause_path):
            self.pause_path.touch()

    def unpause(self) -> None:
        """Let the run go on.

        Raises
        ------
        RunFolderError
            If the file cannot be removed.
        """
        with explain_os_errors(self.pause_path):
            self.pause_path.unlink(missing_ok=True)

    def clear(self) -> None:
        """Remove all requests.

        Raises
        ------
        RunFolderError
            If a file cannot be removed.
        """
        for path in self.paths():
            with explain_os_errors(path):
                path.unlink(missing_ok=True)

    def paths(self) -> list[Path]:
        """Return the paths of all requests."""
        return [self.stop_path, self.pause_path]
