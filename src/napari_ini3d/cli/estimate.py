"""`ini3d run --estimate`: the expected time and memory of a run, by phase."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from napari_ini3d.cli.display import Mode, emit, say
from napari_ini3d.preflight import WORKERS, describe_time, estimate_run

if TYPE_CHECKING:
    from napari_ini3d.io import ParticleFiles
    from napari_ini3d.preflight import RunEstimate
    from napari_ini3d.settings import InitialModelSettings


def print_estimate(files: ParticleFiles, settings: InitialModelSettings, mode: Mode) -> None:
    """Measure a short run, and print the estimate of the whole one."""
    say("Measuring a short run with some of the particles", mode)
    found = estimate_run(files, settings)
    if mode == "json":
        emit("estimated", estimate_values(found))
    elif mode == "lines":
        _print_table(found)


def estimate_values(found: RunEstimate) -> dict[str, Any]:
    """Return an estimate as JSON values; times are seconds, by number of workers, 0 for none."""
    numbers = (0, *WORKERS)
    phases = [
        {
            "name": phase.name,
            "iterations": phase.iterations,
            "images": phase.images,
            "seconds": {str(n): round(phase.seconds(found.threads, n), 1) for n in numbers},
        }
        for phase in found.phases
    ]
    return {
        "particles": found.geometry.n_particles,
        "box_size": found.geometry.box_size,
        "threads": found.threads,
        "seconds": {str(n): round(found.seconds(n), 1) for n in numbers},
        "phases": phases,
        "memory_bytes": found.memory_bytes,
        "workers_pay_from": found.pays_from,
        "measured_images": found.measured_images,
        "measured_seconds": round(found.measured_seconds, 1),
    }


def _print_table(found: RunEstimate) -> None:
    threads = f"{found.threads} thread" + ("" if found.threads == 1 else "s")
    first, *others = map(str, WORKERS)
    table = Table(box=None, padding=(0, 1, 0, 0), header_style="dim")
    for heading in ("", "iterations", "images", threads, f"workers: {first}", *others):
        table.add_column(heading, justify="right" if heading else "left", no_wrap=True)
    for phase in found.phases:
        seconds = [phase.seconds(found.threads, n) for n in (0, *WORKERS)]
        times = [describe_time(each) if each else "" for each in seconds]
        table.add_row(phase.name, str(phase.iterations or ""), str(phase.images or ""), *times)
    table.add_row("total", "", "", *(describe_time(found.seconds(n)) for n in (0, *WORKERS)))
    Console(highlight=False).print(table)
    say(
        f"Measured on {found.measured_images} images in {found.measured_seconds:.0f} s, beside "
        "what else this machine does now. Each worker has as many threads"
    )
    say(f"Memory: about {found.memory_bytes / 1e9:.1f} GB, and no more in a worker")
    say(_describe_cluster(found))


def _describe_cluster(found: RunEstimate) -> str:
    if found.pays_from is None:
        return "Cluster: four workers never halve the time of such a run"
    text = f"Cluster: four workers halve the time from about {found.pays_from:,} such particles on"
    if found.pays_from > found.geometry.n_particles:
        return f"{text}; do this run on one machine"
    saved = {
        phase.name: phase.seconds(found.threads) - phase.seconds(found.threads, 4)
        for phase in found.phases
    }
    first, second, *_ = sorted(saved, key=lambda name: -saved[name])
    return f"{text}; they save most time in {first} and {second}"
