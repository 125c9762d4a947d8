from .dataset import write_dataset as write_dataset
from .particles import (
    InMemorySource as InMemorySource,
    SimulatedParticles as SimulatedParticles,
    simulate_particles as simulate_particles,
)
from .phantom import Phantom as Phantom, make_phantom as make_phantom
from .settings import SimulationSettings as SimulationSettings
