"""Command `ini3d batch`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from napari_ini3d.cli.display import choose_mode
from napari_ini3d.cli.session import exit_codes
from napari_ini3d.cli.shared_options import (
    ClusterOption,
    JsonOption,
    QuietOption,
    StrictOption,
    VerboseOption,
)


def batch(
    path: Annotated[
        Path, typer.Argument(metavar="JOBS", help="YAML file of the jobs.", show_default=False)
    ],
    only_check: Annotated[
        bool, typer.Option("--check", help="Check all jobs, and run none.")
    ] = False,
    keep_going: Annotated[
        bool, typer.Option("--keep-going", help="Run the jobs that can run if others cannot.")
    ] = False,
    strict: StrictOption = False,
    cluster: ClusterOption = None,
    page: Annotated[
        Path | None,
        typer.Option(help="HTML file for the table of results. Default: JOBS with .html."),
    ] = None,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Run several data sets or settings, one after another; again, it continues.

    All jobs are checked before the first one begins. Finished ones are skipped, stopped ones
    resumed; one that fails is reported, and the next one runs.
    """
    mode = choose_mode(as_json=as_json, quiet=quiet)
    with exit_codes(verbose=verbose, quiet=quiet, as_json=as_json):
        from napari_ini3d.cli.batch_jobs import check_jobs, run_jobs

        checks = check_jobs(path, page, mode, strict=strict, cluster=cluster, keep_going=keep_going)
        if not only_check:
            run_jobs(path, checks, page, mode, strict=strict, cluster=cluster)
