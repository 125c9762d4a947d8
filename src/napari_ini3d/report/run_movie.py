"""Movie of the convergence of a run: slices and projections by iteration, without a window."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from napari_ini3d._types import AnyArray
from napari_ini3d.errors import InputError
from napari_ini3d.report.movie_file import MovieFile, check_movie_path, write_caption
from napari_ini3d.report.run_figures import draw_views, render_png
from napari_ini3d.runs import IterationSummary, RunFolder, describe_resolution, read_summaries


def write_run_movie(
    folder: RunFolder,
    path: Path,
    *,
    class_index: int | None = None,
    fps: float = 10.0,
    every: int = 1,
    step: Callable[[int, int], None] = lambda _done, _all: None,
) -> int:
    """Write slices and projections of the maps of a run, iteration by iteration, as a movie.

    Parameters
    ----------
    folder : RunFolder
    path : Path
        Ends with .mp4 or .gif.
    class_index : int, optional
        From 0. Default: the class with the most particles at the end.
    fps : float
        Frames per second.
    every : int
        Only every so many iterations, and the last one.
    step : callable, optional
        Takes the number of frames that are done, and of all.

    Returns
    -------
    int
        Number of iterations that are shown.

    Raises
    ------
    InputError
        If the movie cannot be made: no pictures, no such class, or another ending.
    RunFolderError
        If a file cannot be read or written.
    """
    check_movie_path(path)
    shown = [s for s in read_summaries(folder) if folder.read_pictures(s.iteration) is not None]
    if not shown:
        raise InputError(
            f"{folder.path} has no pictures of iterations; let the run do at least one iteration"
        )
    last, n_classes = shown[-1], len(shown[-1].resolution)
    k = int(np.argmax(last.class_shares)) if class_index is None else class_index
    if not 0 <= k < n_classes:
        raise InputError(f"{folder.path} has {n_classes} classes; there is no class {k + 1}")
    chosen = [*shown[:-1:every], last]
    with _written(MovieFile(path, fps)) as movie:
        for done, summary in enumerate(chosen, start=1):
            pictures = folder.read_pictures(summary.iteration)
            if pictures is not None and k < len(pictures["slices"]):
                frame = _pixels(draw_views(pictures["slices"][k], pictures["projections"][k]))
                movie.add(write_caption(frame, _caption(folder, summary, k, n_classes)))
            step(done, len(chosen))
    return len(chosen)


@contextmanager
def _written(movie: MovieFile) -> Iterator[MovieFile]:
    """Finish a movie, or delete what was written if an error occurs."""
    try:
        yield movie
        movie.finish()
    except BaseException:
        movie.abandon()
        raise


def _pixels(figure: Figure) -> AnyArray:
    """Return a figure on white as (h, w, 3) uint8."""
    with Image.open(io.BytesIO(render_png(figure, transparent=False))) as picture:
        return np.asarray(picture.convert("RGB"))


def _caption(folder: RunFolder, summary: IterationSummary, k: int, n_classes: int) -> str:
    resolution = summary.resolution[k]
    parts = [folder.path.name, f"iteration {summary.iteration}"]
    parts += [f"class {k + 1}"] if n_classes > 1 else []
    return " · ".join(filter(None, [*parts, describe_resolution(resolution, "")]))
