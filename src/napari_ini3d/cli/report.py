"""`ini3d report`: write the report page of a run again."""

from __future__ import annotations

from pathlib import Path

from napari_ini3d.cli.display import emit, say
from napari_ini3d.report import write_report
from napari_ini3d.runs import RunFolder


def report_run(run: Path, *, as_json: bool) -> None:
    """Write the report page of a run, and print its path."""
    path = write_report(RunFolder.open(run))
    if as_json:
        emit("reported", {"report": str(path)})
    else:
        say(f"Report: {path}")
