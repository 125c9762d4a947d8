"""`ini3d movie`: movie of the convergence of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from napari_ini3d.cli.display import emit, say
from napari_ini3d.cli.session import exit_codes
from napari_ini3d.cli.shared_options import FolderArgument, JsonOption, VerboseOption


def movie(
    folder: FolderArgument,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="File to write: .gif, or .mp4 with FFmpeg.")
    ],
    class_number: Annotated[
        int | None,
        typer.Option("--class", min=1, help="Class. Default: that with the most particles."),
    ] = None,
    fps: Annotated[float, typer.Option(min=1, max=60, help="Frames per second.")] = 10.0,
    every: Annotated[int, typer.Option(min=1, help="Only every so many iterations.")] = 1,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the file if it exists.")
    ] = False,
    as_json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Write slices and projections of a run as a movie, iteration by iteration.

    The dock Export of the window records the map in 3D.
    """
    with exit_codes(verbose=verbose):
        from napari_ini3d.errors import InputError
        from napari_ini3d.report import write_run_movie
        from napari_ini3d.runs import RunFolder

        if output.exists() and not overwrite:
            raise InputError(f"{output} exists; give another name, or --overwrite")
        k = None if class_number is None else class_number - 1
        count = write_run_movie(RunFolder.open(folder), output, class_index=k, fps=fps, every=every)
        if as_json:
            emit("movie", {"movie": str(output), "iterations": count})
        else:
            say(f"Movie of {count} iterations: {output}")
