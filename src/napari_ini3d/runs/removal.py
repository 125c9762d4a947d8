"""Removal of the files of a run; other files in its folder are kept."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from napari_ini3d.runs.folder import OUTCOMES, RunFolder
from napari_ini3d.runs.storage import explain_os_errors
from napari_ini3d.runs.symmetry_files import SymmetryFiles

_OWN_FOLDERS = ("pictures", "history")


def run_files(folder: RunFolder) -> list[Path]:
    """Return the files of a run, `settings.json` last.

    Parameters
    ----------
    folder : RunFolder
    """
    symmetry = SymmetryFiles(folder)
    named = [
        folder.log_path,
        folder.progress_path,
        folder.checkpoint_path,
        folder.report_path,
        folder.map_path,
        folder.excluded_path,
        symmetry.aligned_path,
        symmetry.symmetrised_path,
        symmetry.particles_path,
        symmetry.facts_path,
        *(folder.path / f"RELION_JOB_EXIT_{outcome}" for outcome in OUTCOMES),
        folder.settings_path,  # last: a folder with this file is recognised as that of a run
    ]
    numbered = folder.path.glob("run_it[0-9]*_*")
    small = (path for name in _OWN_FOLDERS for path in (folder.path / name).glob("*"))
    return [path for path in (*sorted(numbered), *sorted(small), *named) if path.is_file()]


def delete_run(folder: RunFolder) -> None:
    """Delete the files of a run, and its folder if it is empty then.

    Parameters
    ----------
    folder : RunFolder

    Raises
    ------
    RunFolderError
        If there is no run in the folder, or a file cannot be deleted.
    """
    RunFolder.open(folder.path)
    for path in run_files(folder):
        with explain_os_errors(path):
            path.unlink(missing_ok=True)
    for path in (*(folder.path / name for name in _OWN_FOLDERS), folder.path):
        with suppress(OSError):  # not empty
            path.rmdir()
