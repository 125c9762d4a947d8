from ._version import __version__ as __version__
from .engine import IterationReport as IterationReport, reconstruct as reconstruct
from .errors import Ini3dError as Ini3dError
from .geometry import RigidTransform as RigidTransform
from .io import (
    expand_particles as expand_particles,
    fold_particles as fold_particles,
    read_map as read_map,
    read_particles as read_particles,
    rotate_particles as rotate_particles,
    write_map as write_map,
)
from .jobs import resume_run as resume_run, start_run as start_run
from .particles import Particles as Particles
from .settings import InitialModelSettings as InitialModelSettings
from .symmetry import (
    SymmetryAlignment as SymmetryAlignment,
    SymmetryReport as SymmetryReport,
    SymmetryValidation as SymmetryValidation,
    align_symmetry as align_symmetry,
    detect_symmetry as detect_symmetry,
    flip_hand as flip_hand,
    impose_symmetry as impose_symmetry,
    validate_symmetry as validate_symmetry,
)
