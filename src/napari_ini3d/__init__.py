"""De novo cryo-EM initial models: from particles to a 3D map, live in napari or headless.

Importing the package loads neither Qt, napari nor CuPy; the public names are loaded when they
are first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_ini3d.engine.initial_model import reconstruct
    from napari_ini3d.engine.records import IterationReport
    from napari_ini3d.errors import Ini3dError
    from napari_ini3d.io.maps import read_map, write_map
    from napari_ini3d.io.poses import rotate_particles
    from napari_ini3d.io.star import read_particles
    from napari_ini3d.jobs import resume_run, start_run
    from napari_ini3d.particles import Particles
    from napari_ini3d.settings import InitialModelSettings
    from napari_ini3d.symmetry.align import align_symmetry
    from napari_ini3d.symmetry.detect import detect_symmetry
    from napari_ini3d.symmetry.hand import flip_hand
    from napari_ini3d.symmetry.impose import impose_symmetry
    from napari_ini3d.symmetry.judgement import SymmetryJudgement, judge_symmetry
    from napari_ini3d.symmetry.records import SymmetryAlignment, SymmetryReport

__version__ = "0.1.0"

__all__ = [
    "Ini3dError",
    "InitialModelSettings",
    "IterationReport",
    "Particles",
    "SymmetryAlignment",
    "SymmetryJudgement",
    "SymmetryReport",
    "align_symmetry",
    "detect_symmetry",
    "flip_hand",
    "impose_symmetry",
    "judge_symmetry",
    "read_map",
    "read_particles",
    "reconstruct",
    "resume_run",
    "rotate_particles",
    "start_run",
    "write_map",
]

_HOMES = {
    "Ini3dError": "errors",
    "InitialModelSettings": "settings",
    "IterationReport": "engine.records",
    "Particles": "particles",
    "SymmetryAlignment": "symmetry.records",
    "SymmetryJudgement": "symmetry.judgement",
    "SymmetryReport": "symmetry.records",
    "align_symmetry": "symmetry.align",
    "detect_symmetry": "symmetry.detect",
    "flip_hand": "symmetry.hand",
    "impose_symmetry": "symmetry.impose",
    "judge_symmetry": "symmetry.judgement",
    "read_map": "io.maps",
    "read_particles": "io.star",
    "reconstruct": "engine.initial_model",
    "resume_run": "jobs",
    "rotate_particles": "io.poses",
    "start_run": "jobs",
    "write_map": "io.maps",
}


def __getattr__(name: str) -> Any:
    """Load a public name from the module it lives in."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
