"""Phantoms and simulated particles of them, in memory: no files, no engine."""

from napari_ini3d.simulation.phantom import Phantom, make_phantom
from napari_ini3d.simulation.settings import SimulationSettings
from napari_ini3d.simulation.simulated import (
    InMemorySource,
    SimulatedParticles,
    simulate_particles,
)

__all__ = [
    "InMemorySource",
    "Phantom",
    "SimulatedParticles",
    "SimulationSettings",
    "make_phantom",
    "simulate_particles",
]
