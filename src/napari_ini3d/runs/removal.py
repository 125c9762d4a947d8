"""Removal of the files of a run; other files in its folder are kept."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from napari_ini3d.runs import output_list
from napari_ini3d.runs.folder import OUTCOMES, RunFolder
from napari_ini3d.runs.lock import check_unlocked
from napari_ini3d.runs.requests import RunRequests
from napari_ini3d.runs.storage import explain_os_errors
from napari_ini3d.runs.symmetry_files import SymmetryFiles
from napari_ini3d.runs.validation_files import ValidationFiles

_OWN_FOLDERS = ("pictures", "history")


def run_files(folder: RunFolder) -> list[Path]:
    """Return the files of a run that are there, `settings.json` last.

    They are those on its list of outputs; in runs of early versions, which had none, those whose
    names outputs have.

    Parameters
    ----------
    folder : RunFolder
    """
    marks = [folder.path / f"RELION_JOB_EXIT_{outcome}" for outcome in OUTCOMES]
    listing = folder.path / output_list.NAME
    outputs = folder.outputs() if listing.exists() else _by_name(folder)
    requests = RunRequests(folder.path).paths()
    return [path for path in (*marks, *requests, listing, *outputs) if path.is_file()]


def adopt_outputs(folder: RunFolder) -> None:
    """List the outputs of a run of an early version, by their names."""
    if not (folder.path / output_list.NAME).exists():
        output_list.append_outputs(folder.path, [p for p in _by_name(folder) if p.is_file()])


def _by_name(folder: RunFolder) -> list[Path]:
    """Return the paths that are named as the outputs of an early version."""
    symmetry, validation = SymmetryFiles(folder), ValidationFiles(folder)
    numbered = folder.path.glob("run_it[0-9]*_*")
    small = (path for name in _OWN_FOLDERS for path in (folder.path / name).glob("*"))
    return [
        *sorted(numbered),
        *sorted(small),
        folder.log_path,
        folder.progress_path,
        folder.checkpoint_path,
        folder.report_path,
        folder.map_path,
        folder.excluded_path,
        *symmetry.paths(),
        *validation.paths(),
        folder.settings_path,  # last: a folder with this file is recognised as that of a run
    ]


def delete_run(folder: RunFolder) -> None:
    """Delete the files of a run, and its folder if it is empty then.

    Parameters
    ----------
    folder : RunFolder

    Raises
    ------
    RunFolderError
        If there is no run in the folder, it is going on, or a file cannot be deleted.
    """
    RunFolder.open(folder.path)
    check_unlocked(folder.path)
    for path in run_files(folder):
        with explain_os_errors(path):
            path.unlink(missing_ok=True)
    for path in (*(folder.path / name for name in _OWN_FOLDERS), folder.path):
        with suppress(OSError):  # not empty
            path.rmdir()
