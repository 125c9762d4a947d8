"""Writing of the report page; drawing is loaded only when a page is written."""

from __future__ import annotations

from pathlib import Path

from napari_ini3d.io import atomic_path
from napari_ini3d.runs import Outcome, RunFolder


def write_report(folder: RunFolder, *, outcome: Outcome | None = None) -> Path:
    """Write `report.html` from the files of a run; return its path.

    Parameters
    ----------
    folder : RunFolder
    outcome : {"SUCCESS", "FAILURE", "ABORTED"}, optional
        How the run ended, where it is not marked yet. Default: as it is marked.
    """
    from napari_ini3d.report.page import format_page  # Matplotlib takes long to load

    page = format_page(folder, outcome)
    folder.claim(folder.report_path)
    with atomic_path(folder.report_path) as temporary:
        temporary.write_text(page, encoding="utf-8")
    return folder.report_path
