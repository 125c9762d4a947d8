"""`ini3d demo`: a run on simulated particles."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from napari_ini3d.cli.compare import compare_paths, comparison_values
from napari_ini3d.cli.display import Mode, emit, say
from napari_ini3d.cli.run import OnStep, follow_job
from napari_ini3d.cli.session import StopRequest
from napari_ini3d.comparison import describe_comparison
from napari_ini3d.jobs import start_run
from napari_ini3d.runs import RunFolder
from napari_ini3d.settings import InitialModelSettings
from napari_ini3d.simulation import (
    SimulationSettings,
    make_phantom,
    simulate_particles,
    write_dataset,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from napari_ini3d.engine import IterationReport

_PARTICLES = SimulationSettings(number=800, box_size=48, pixel_size=4.0, snr=0.4, seed=7)
_DIAMETER = 120.0  # Å
_ITERATIONS = 50


def run_demo(output: Path, threads: int, mode: Mode) -> None:
    """Simulate particles, reconstruct them, and compare the result with the true map."""
    begin = time.monotonic()
    run_folder = output / "run"
    RunFolder.check_free(run_folder)
    phantom = make_phantom(diameter=_DIAMETER, seed=_PARTICLES.seed)
    say(f"Simulating {_PARTICLES.number} particles of a phantom without symmetry", mode)
    star = write_dataset(output, simulate_particles(phantom, _PARTICLES), phantom)
    settings = InitialModelSettings(
        mask_diameter=round(phantom.diameter * 1.15), iterations=_ITERATIONS, threads=threads
    )

    def start(stop: StopRequest, on_step: OnStep) -> Iterator[IterationReport]:
        given = (star, run_folder, settings)
        return start_run(*given, command="ini3d demo", stop=stop, on_step=on_step)

    follow_job(start, run_folder, mode)
    paths = (output / "truth.mrc", RunFolder.open(run_folder).map_path)
    curve = output / "fsc.png"
    found = compare_paths(paths, mask_diameter=settings.mask_diameter, align=True, picture=curve)
    seconds = time.monotonic() - begin
    if mode == "json":
        emit("compared", {**comparison_values(found), "seconds": round(seconds, 1)})
    say("Comparison with the true map:", mode)
    for line in describe_comparison(found):
        say(f"  {line}", mode)
    say(f"FSC curve: {curve}", mode)
    say(f"Finished in {seconds:.0f} s.", mode)
