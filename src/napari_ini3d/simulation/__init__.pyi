from .dataset import write_dataset as write_dataset
from .molecule import MapMolecule as MapMolecule, Molecule as Molecule
from .particles import (
    InMemorySource as InMemorySource,
    SimulatedParticles as SimulatedParticles,
    simulate_particles as simulate_particles,
)
from .phantom import Phantom as Phantom, make_phantom as make_phantom
from .settings import (
    JUNK_KINDS as JUNK_KINDS,
    JunkKind as JunkKind,
    SimulationSettings as SimulationSettings,
    Views as Views,
)
