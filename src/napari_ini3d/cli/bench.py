"""`ini3d bench`: speed of this machine, as a table to share."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from napari_ini3d.cli.benchmark import QUICK, STANDARD, BenchResult, run_benchmark
from napari_ini3d.cli.display import say
from napari_ini3d.errors import RunFolderError
from napari_ini3d.io import atomic_path

_GIB = 2**30


def run_bench(*, quick: bool, device: str, threads: int, output: Path | None) -> None:
    """Run the benchmark, print the table, and write the JSON file if one is given.

    Raises
    ------
    DeviceError
        If the device is not available.
    RunFolderError
        If the file cannot be written.
    """
    _check_writable(output)
    chosen = QUICK if quick else STANDARD
    number, box = chosen.particles.number, chosen.particles.box_size
    say(f"Running {number} simulated particles of {box} x {box} pixels")
    result = run_benchmark(chosen, device=device, threads=threads)
    Console(highlight=False).print(bench_table(result))
    if output is not None:
        with atomic_path(output) as temporary:
            temporary.write_text(json.dumps(bench_values(result), indent=1) + "\n")
        say(f"Results: {output}")


def _check_writable(output: Path | None) -> None:
    """Raise `RunFolderError` for a path that cannot be written, before anything is measured."""
    if output is not None and (output.is_dir() or not output.absolute().parent.is_dir()):
        raise RunFolderError(f"{output} cannot be written; give a file in a folder that exists")


def bench_values(result: BenchResult) -> dict[str, Any]:
    """Return a result as JSON values, floats rounded to four digits."""
    values: dict[str, Any] = _rounded(dataclasses.asdict(result))
    return values | {
        "particles_per_second": _digits(result.particles_per_second),
        "matmul_efficiency": _digits(result.matmul_efficiency),
        "images_compared_per_second": _digits(result.images_compared_per_second),
    }


def bench_table(result: BenchResult) -> Table:
    """Return a result as a table."""
    particles = result.particles
    table = Table(
        title=f"ini3d bench, {particles['name']}: {particles['number']} particles of "
        f"{particles['box_size']} x {particles['box_size']} pixels",
        title_justify="left",
    )
    table.add_column("quantity")
    table.add_column("value", justify="right")
    table.add_column("share", justify="right")
    for name in ("version", "device", "processor", "threads"):
        table.add_row(name, str(result.machine[name]), "")
    if result.machine["load_average"] is not None:
        table.add_row("load average at start", f"{result.machine['load_average']:.1f}", "")
    table.add_section()
    for name, seconds in result.seconds.items():
        stage, _, part = name.replace("_", " ").partition("/")
        share = f"{seconds / result.total_seconds:.0%}"
        table.add_row(f"  {part}" if part else stage, f"{seconds:.2f} s", share)
    table.add_row("whole run", f"{result.total_seconds:.2f} s", "100%")
    table.add_row("warm-up (compilation)", f"{result.warm_up_seconds:.2f} s", "")
    table.add_section()
    for row in _rate_rows(result):
        table.add_row(*row, "")
    return table


def _rate_rows(result: BenchResult) -> list[tuple[str, str]]:
    memory = result.peak_rss_bytes
    return [
        ("iterations", str(result.iterations)),
        ("particles per second, whole run", f"{result.particles_per_second:.1f}"),
        ("images compared per second", f"{result.images_compared_per_second:.0f}"),
        ("images read per second, reading alone", f"{result.images_read_per_second:.0f}"),
        ("matrix product, float32", f"{result.matmul_gflops:.0f} GFLOP/s"),
        ("efficiency of the expectation", f"{result.matmul_efficiency:.0%}"),
        ("peak memory", "unknown" if memory is None else f"{memory / _GIB:.2f} GiB"),
        ("resolution (FSC 0.5 with the truth)", f"{result.resolution:.1f} Å"),
    ]


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    return _digits(value) if isinstance(value, float) else value


def _digits(value: float) -> float:
    return float(f"{value:.4g}")
