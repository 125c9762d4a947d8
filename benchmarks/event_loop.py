"""Gaps of the window's event loop during a run, and the run's speed with and without the window.

usage: xvfb-run -a -s "-screen 0 1600x1200x24" event_loop.py OUTPUT.json [--box-size 64]
           [--particles 1000] [--iterations 40] [--threads 0] [--label TEXT]

Particles are simulated. They are reconstructed on the command line, and by a window of 1366 x 768
with the docks *Initial model* and *Convergence*. Without a GPU for graphics, maps are drawn as
meshes.

gaps, gaps_after_first_map
    Milliseconds between two ticks of a timer that is set to 10 ms, from *Run* or from two seconds
    after the first map to the end of the iterations: median, 99th percentile and worst.
first_map_ms
    From the last file of the first iteration to its map in the window.
iteration_ms
    Median time of the iterations of each phase, as the run itself measured it, on the command line
    and in the window. The first iterations of each, in which kernels are loaded, are left out.

OUTPUT.json is extended: one entry per label, so that versions and machines can be compared.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import napari
import numpy as np
from gui_updates import describe_machine, run_until
from qtpy.QtCore import Qt, QTimer

from napari_ini3d import InitialModelSettings
from napari_ini3d.plugin.session import RunSession
from napari_ini3d.runs import RunFolder, read_summaries, run_command
from napari_ini3d.simulation import (
    SimulationSettings,
    make_phantom,
    simulate_particles,
    write_dataset,
)

WINDOW = (1366, 768)
DOCKS = ("Convergence", "Initial model")
TICK_MS = 10
DIAMETER = 120.0  # Å
SKIPPED = 2  # iterations
COMMAND = "import sys; from napari_ini3d.cli import main; sys.argv[0] = 'ini3d'; main()"


class Ticks:
    """Records the time of each tick of a timer in the event loop."""

    def __init__(self) -> None:
        self._times: list[float] = []
        self._timer = QTimer()
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.setInterval(TICK_MS)
        self._timer.timeout.connect(lambda: self._times.append(time.perf_counter()))

    def start(self) -> None:
        self._timer.start()

    def stop(self) -> None:
        self._timer.stop()

    def gaps_since(self, begin: float) -> dict[str, Any]:
        """Return the gaps since a time of `time.perf_counter`."""
        gaps = 1e3 * np.diff([moment for moment in self._times if moment >= begin])
        return {
            "ticks": len(gaps),
            "median_ms": round(float(np.median(gaps)), 1),
            "p99_ms": round(float(np.percentile(gaps, 99)), 1),
            "worst_ms": round(float(gaps.max()), 1),
            "share_of_time_in_gaps_above_50_ms": round(
                float(gaps[gaps > 50].sum() / gaps.sum()), 3
            ),
        }


def simulate(folder: Path, options: argparse.Namespace) -> Path:
    """Simulate the particles; return their STAR file."""
    phantom = make_phantom("D2", diameter=DIAMETER, seed=7)
    settings = SimulationSettings(
        number=options.particles,
        box_size=options.box_size,
        pixel_size=192 / options.box_size,
        snr=0.2,
        seed=7,
    )
    return write_dataset(folder, simulate_particles(phantom, settings), phantom)


def run_on_command_line(star: Path, folder: Path, settings: InitialModelSettings) -> None:
    """Do a run without a window."""
    words = run_command(star, folder, settings).split()[1:]
    subprocess.run([sys.executable, "-c", COMMAND, *words, "--quiet"], check=True)


def run_in_window(
    viewer: napari.Viewer, star: Path, folder: Path, settings: InitialModelSettings
) -> dict[str, Any]:
    """Do a run in a window, and return the gaps of its event loop."""
    session, ticks = RunSession.of(viewer), Ticks()
    shown: list[tuple[float, float]] = []
    session.progressed.connect(lambda _: shown.append((time.time(), time.perf_counter())))
    begin = time.perf_counter()
    ticks.start()
    session.start(star, folder, settings)
    run_until(lambda: session.summaries and _is_done(session))
    ticks.stop()
    run_until(lambda: not session.busy)
    if session.error is not None:
        raise session.error
    written = (folder / "history" / "it001.npz").stat().st_mtime
    return {
        "gaps": ticks.gaps_since(begin),
        "gaps_after_first_map": ticks.gaps_since(shown[0][1] + 2),
        "first_map_ms": round(1e3 * (shown[0][0] - written)),
        "maps_shown": len(shown),
    }


def _is_done(session: RunSession) -> bool:
    last = session.summaries[-1]
    return last.converged or last.iteration >= last.n_iterations or not session.busy


def iteration_times(folder: Path) -> dict[str, Any]:
    """Return the median time of the iterations of each phase, in milliseconds."""
    by_phase: dict[str, list[float]] = {}
    for summary in read_summaries(RunFolder.open(folder))[SKIPPED:]:
        by_phase.setdefault(summary.phase, []).append(1e3 * summary.total_seconds)
    return {phase: round(median(times)) for phase, times in by_phase.items()}


def wall_seconds(action: Callable[[], Any]) -> tuple[Any, float]:
    begin = time.perf_counter()
    result = action()
    return result, round(time.perf_counter() - begin, 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("output", type=Path)
    parser.add_argument("--box-size", type=int, default=64)
    parser.add_argument("--particles", type=int, default=1000)
    parser.add_argument("--iterations", type=int, default=40)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--label", default="process")
    options = parser.parse_args()
    settings = InitialModelSettings(
        mask_diameter=1.15 * DIAMETER,
        iterations=options.iterations,
        threads=options.threads,
        independent_half_sets=False,
    )
    viewer = napari.Viewer()
    for name in DOCKS:
        viewer.window.add_plugin_dock_widget("napari-ini3d", name, tabify=True)
    viewer.window.resize(*WINDOW)
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(temporary)
        star = simulate(work / "data", options)
        alone, window = work / "alone", work / "window"
        _, seconds_alone = wall_seconds(lambda: run_on_command_line(star, alone, settings))
        row, seconds = wall_seconds(lambda: run_in_window(viewer, star, window, settings))
        row |= {
            "iteration_ms": {
                "command line": iteration_times(alone),
                "window": iteration_times(window),
            },
            "seconds": {"command line": seconds_alone, "window": seconds},
        }
    choices = {k: v for k, v in vars(options).items() if k not in ("output", "label")}
    entry = {"date": time.strftime("%Y-%m-%d"), **choices, **row, **describe_machine()}
    entry["cores"] = os.cpu_count()
    found = json.loads(options.output.read_text()) if options.output.exists() else {}
    options.output.write_text(json.dumps(found | {options.label: entry}, indent=1) + "\n")
    print(json.dumps({options.label: row}, indent=1))
    viewer.close()


if __name__ == "__main__":
    main()
