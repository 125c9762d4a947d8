"""`ini3d simulate`: simulated particles of a phantom, as files."""

from __future__ import annotations

from pathlib import Path

from napari_ini3d.cli.display import emit, say
from napari_ini3d.runs import RunFolder
from napari_ini3d.simulation import Phantom, SimulationSettings, simulate_particles, write_dataset


def simulate_files(
    output: Path, phantom: Phantom, settings: SimulationSettings, *, as_json: bool
) -> None:
    """Write simulated particles, and print their path."""
    RunFolder.check_free(output)
    star = write_dataset(output, simulate_particles(phantom, settings), phantom)
    if as_json:
        emit("simulated", {"particles": str(star), "diameter": phantom.diameter})
        return
    diameter = f"{phantom.diameter:.0f} Å"
    say(f"{settings.number} particles of a phantom of {diameter} in diameter: {star}")
    say(f"Truth: {output / 'truth.mrc'}, {output / 'truth.star'}")
