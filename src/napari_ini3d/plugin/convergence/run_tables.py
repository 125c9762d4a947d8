"""Tables of a run as CSV files."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from napari_ini3d.io import atomic_path
from napari_ini3d.runs import IterationSummary

ITERATION_COLUMNS = (
    "iteration", "phase", "class", "resolution_A", "class_share", "map_change",
    "mean_max_probability", "step_size", "subset_size", "angular_step_deg", "offset_range_A",
    "offset_step_A", "current_size", "junk_share", "seconds",
)  # fmt: skip
SHELL_COLUMNS = ("iteration", "class", "shell", "frequency_per_A", "resolution_A", "fsc", "ssnr")


def write_iterations(path: Path, summaries: Sequence[IterationSummary]) -> None:
    """Write one row for each iteration and class; unknown values are empty.

    Raises
    ------
    RunFolderError
        If the file cannot be written.
    """
    _write(path, ITERATION_COLUMNS, (row for s in summaries for row in _iteration_rows(s)))


def write_shells(path: Path, summaries: Sequence[IterationSummary]) -> None:
    """Write one row for each iteration, class and Fourier shell.

    Raises
    ------
    RunFolderError
        If the file cannot be written.
    """
    _write(path, SHELL_COLUMNS, (row for s in summaries for row in _shell_rows(s)))


def _iteration_rows(summary: IterationSummary) -> Iterable[tuple[Any, ...]]:
    for k, resolution in enumerate(summary.resolution):
        yield (
            summary.iteration, summary.phase, k + 1, resolution, summary.class_shares[k],
            summary.map_change[k], summary.mean_max_probability, summary.step_size,
            summary.subset_size, summary.angular_step, summary.offset_range, summary.offset_step,
            summary.current_size, summary.junk, summary.total_seconds,
        )  # fmt: skip


def _shell_rows(summary: IterationSummary) -> Iterable[tuple[Any, ...]]:
    width = summary.box_size * summary.voxel_size
    for k, (fsc, ssnr) in enumerate(zip(summary.fsc, summary.ssnr, strict=True)):
        for shell, (correlation, ratio) in enumerate(zip(fsc, ssnr, strict=True)):
            resolution = width / shell if shell else math.nan
            frequency = float(f"{shell / width:.6g}")
            yield (summary.iteration, k + 1, shell, frequency, resolution, correlation, ratio)


def _write(path: Path, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    with atomic_path(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        for row in rows:
            writer.writerow([_cell(value) for value in row])


def _cell(value: Any) -> Any:
    if isinstance(value, float):
        return f"{value:.6g}" if math.isfinite(value) else ""
    return value
