"""Commands `ini3d cluster`: start, look at and stop a cluster of Dask."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_ini3d.cli.display import emit, say
from napari_ini3d.cli.session import EXIT_PROBLEMS, StopRequest, exit_codes
from napari_ini3d.cli.shared_options import JsonOption, ThreadsOption, VerboseOption

if TYPE_CHECKING:
    from napari_ini3d.cluster import ClusterStatus, WorkerStatus

cluster_app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="rich",
    help="Start, look at and stop a cluster of Dask for several runs. A single run needs none of "
    "this: `ini3d run --cluster local:4` starts and ends its own.",
)

ClusterArgument = Annotated[
    str,
    typer.Argument(
        metavar="CLUSTER",
        help="Scheduler file, address (tcp://host:8786), local:4 or slurm:FILE.yaml.",
        show_default=False,
    ),
]
SchedulerFileOption = Annotated[
    Path, typer.Option(help="File to write, by which runs find the cluster; removed at the end.")
]


@cluster_app.command()
def start(
    cluster: ClusterArgument,
    scheduler_file: SchedulerFileOption,
    threads: ThreadsOption = 0,
    detach: Annotated[
        bool, typer.Option("--detach", help="Start it in the background, and print its process.")
    ] = False,
    verbose: VerboseOption = False,
) -> None:
    """Start processes of this machine (local:4) or jobs of SLURM, until Ctrl-C or `stop`."""
    with exit_codes(verbose=verbose):
        from napari_ini3d.cluster import ClusterSpec, check_cluster, serve_cluster
        from napari_ini3d.kernels import available_threads

        if detach:
            pid = _start_detached(cluster, scheduler_file, threads)
            say(f"Cluster started as process {pid}; its messages: {_log_path(scheduler_file)}")
            say(f"Use it: ini3d run ... --cluster {scheduler_file}")
            say(f"End it: ini3d cluster stop {scheduler_file}")
            return
        spec, stop = check_cluster(cluster), StopRequest("Ending the cluster.")
        assert isinstance(spec, ClusterSpec)
        with stop.listening():
            serve_cluster(
                spec,
                available_threads(threads),
                scheduler_file,
                stop=stop,
                on_start=lambda dashboard: say(
                    f"Cluster started: {scheduler_file}; dashboard: {dashboard}"
                ),
            )
        say("The cluster has ended.")


@cluster_app.command()
def status(
    cluster: ClusterArgument,
    particles: Annotated[
        Path | None,
        typer.Option(help="Particle file whose stacks the workers are asked for."),
    ] = None,
    threads: ThreadsOption = 0,
    as_json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Show the workers with threads, memory and packages; exit code 3 if a run cannot use them."""
    with exit_codes(verbose=verbose, as_json=as_json):
        from napari_ini3d.cluster import check_cluster, inspect_cluster
        from napari_ini3d.io import read_particles
        from napari_ini3d.kernels import available_threads

        spec = check_cluster(cluster)
        assert spec is not None
        stacks = read_particles(particles, ctf=False)[0].stack_paths if particles else ()
        found = inspect_cluster(spec, available_threads(threads), stacks)
        if as_json:
            emit("cluster", status_values(found))
        else:
            _print_status(found, asked=bool(stacks))
        if found.problems:
            raise typer.Exit(EXIT_PROBLEMS)


@cluster_app.command()
def stop(
    cluster: ClusterArgument,
    verbose: VerboseOption = False,
) -> None:
    """End a cluster that runs, with its scheduler and workers; runs that use it fail."""
    with exit_codes(verbose=verbose):
        from napari_ini3d.cluster import ClusterSpec, check_cluster, stop_cluster

        spec = check_cluster(cluster)
        assert isinstance(spec, ClusterSpec)
        stop_cluster(spec)
        say("The cluster has ended.")


def status_values(found: ClusterStatus) -> dict[str, Any]:
    """Return the state of a cluster as JSON values."""
    return {
        "address": found.address,
        "dashboard": found.dashboard,
        "threads": found.threads,
        "problems": list(found.problems),
        "workers": [_worker_values(worker) for worker in found.workers],
    }


def _worker_values(worker: WorkerStatus) -> dict[str, Any]:
    report = worker.report
    return {
        "address": worker.address,
        "host": worker.host,
        "threads": worker.threads,
        "memory_bytes": report and report.memory_bytes,
        "free_bytes": report and report.free_bytes,
        "gpu": report and report.gpu,
        "versions": report and report.versions,
        "missing": list(report.missing) if report else None,
        "problems": list(worker.problems),
    }


def _print_status(found: ClusterStatus, *, asked: bool) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for heading in ("worker", "threads", "memory", "free", "computes on", "packages"):
        table.add_column(heading, no_wrap=True)
    if asked:
        table.add_column("stacks")
    for worker in found.workers:
        report = worker.report
        cells = [worker.address, str(worker.threads)]
        if report is None:
            cells += ["", "", "", "missing"]
        else:
            cells += [f"{n / 1e9:.0f} GB" for n in (report.memory_bytes, report.free_bytes)]
            cells.append(f"GPU {report.gpu}" if report.gpu else "CPU")
            cells.append(report.versions["napari-ini3d"])
            if asked:
                cells.append(f"{len(report.missing)} missing" if report.missing else "all seen")
        table.add_row(*cells)
    Console(highlight=False).print(table)
    say(f"Scheduler: {found.address}; dashboard: {found.dashboard}")
    for problem in found.problems:
        say(f"problem: {problem}")
    if not found.problems:
        say(f"{len(found.workers)} workers with {found.threads} threads can compute a run.")


def _log_path(scheduler_file: Path) -> Path:
    return scheduler_file.with_suffix(".log")


def _start_detached(cluster: str, scheduler_file: Path, threads: int) -> int:
    """Start a cluster as a process of its own, wait until it answers, and return its number.

    Raises
    ------
    ClusterError
        If it ends at once.
    """
    import subprocess
    import sys
    import time

    from napari_ini3d.cluster import check_is_new
    from napari_ini3d.errors import ClusterError
    from napari_ini3d.io import detached_options

    check_is_new(scheduler_file)
    words = [sys.executable, "-m", "napari_ini3d", "cluster", "start", cluster]
    words += ["--scheduler-file", str(scheduler_file), "--threads", str(threads)]
    with _log_path(scheduler_file).open("ab") as log:
        begin = log.tell()  # of its messages: those of an earlier cluster are kept
        process = subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            **detached_options(),
        )
    while not scheduler_file.exists():
        if process.poll() is not None:
            said = _log_path(scheduler_file).read_bytes()[begin:].decode(errors="replace").strip()
            raise ClusterError(f"the cluster has not started ({said}); correct this, and start it")
        time.sleep(0.2)
    return process.pid
