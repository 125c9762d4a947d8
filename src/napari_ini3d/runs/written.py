"""Iterations of a run whose maps and particles are written."""

from __future__ import annotations

import re
from typing import Any

from napari_ini3d.runs.folder import RunFolder

_DATA_NAME = re.compile(r"run_it(\d+)_data\.star")


def written_iterations(folder: RunFolder) -> dict[int, dict[str, Any]]:
    """Return the lines of progress of the written iterations, ascending.

    Files of iterations after the one from which a run was resumed, which are left of the earlier
    run, have no line and are not among them.

    Raises
    ------
    RunFolderError
        If the progress of the run cannot be read.
    """
    matches = (_DATA_NAME.fullmatch(path.name) for path in folder.path.iterdir())
    written = {int(match[1]) for match in matches if match}
    lines = {line["iteration"]: line for line in folder.read_progress()}
    return {iteration: lines[iteration] for iteration in sorted(written & lines.keys())}
