"""Sample data for napari's File menu: simulated once, then kept in the user's cache."""

from __future__ import annotations

import getpass
import logging
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import platformdirs

from napari_ini3d.errors import RunFolderError
from napari_ini3d.plugin.layers import LayerData
from napari_ini3d.plugin.reader import read_files, read_layers
from napari_ini3d.simulation import (
    SimulationSettings,
    make_phantom,
    simulate_particles,
    write_dataset,
)

logger = logging.getLogger(__name__)

_STEPS = 10  # of making a sample, about
_RECIPE_VERSION = 1  # increase it when a recipe changes, so that no old sample is used


@dataclass(frozen=True, slots=True)
class _Recipe:
    symmetry: str
    phantom: dict[str, Any]
    particles: SimulationSettings


_RECIPES = {
    "D2": _Recipe(
        "D2",
        {"diameter": 110.0, "seed": 1},
        SimulationSettings(number=800, box_size=48, pixel_size=4.0, snr=0.4, seed=1),
    ),
    "C1": _Recipe(
        "C1",
        {"diameter": 120.0, "seed": 7},
        SimulationSettings(number=800, box_size=48, pixel_size=4.0, snr=0.4, seed=7),
    ),
    "I": _Recipe(
        "I",
        {
            "diameter": 180.0,
            "inner_diameter": 88.0,
            "domains": 4,
            "domain_radius": (9.0, 14.0),
            "seed": 1,
        },
        SimulationSettings(number=400, box_size=64, pixel_size=3.8, snr=0.2, seed=3),
    ),
}


def sample_folder(symmetry: str, step: Callable[[str], None] = lambda _: None) -> Path:
    """Return the folder of a sample (``D2``, ``C1`` or ``I``); simulate it the first time.

    It contains ``particles.star`` with its stack, and ``truth.star`` and ``truth.mrc``.

    Parameters
    ----------
    symmetry : str
    step : callable, optional
        Takes what is done next, to report the progress; it may raise to cancel.

    Raises
    ------
    RunFolderError
        If neither the user's cache nor the temporary folder can be written.
    """
    name = _folder_name(symmetry)
    cache, temporary = _bases()
    for base in (cache, temporary):
        if (base / name).is_dir():
            return base / name
    try:
        return _make_sample(cache, name, _RECIPES[symmetry], step)
    except (OSError, RunFolderError) as error:
        logger.info("%s cannot be used (%s); samples are written to %s", cache, error, temporary)
        return _make_sample(temporary, name, _RECIPES[symmetry], step)


def _folder_name(symmetry: str) -> str:
    return f"{symmetry}-{_RECIPE_VERSION}"


def _is_made(symmetry: str) -> bool:
    return any((base / _folder_name(symmetry)).is_dir() for base in _bases())


def is_sample(path: Path) -> bool:
    """Tell whether a file belongs to a sample."""
    return any(path.absolute().is_relative_to(base) for base in _bases())


def open_d2_particles() -> list[LayerData]:
    """Open 800 particles of a tetramer."""
    return _open("D2", "particles.star")


def open_d2_map() -> list[LayerData]:
    """Open the map of a tetramer."""
    return _open("D2", "truth.mrc")


def open_c1_particles() -> list[LayerData]:
    """Open 800 particles of a protein without symmetry."""
    return _open("C1", "particles.star")


def open_c1_map() -> list[LayerData]:
    """Open the map of a protein without symmetry."""
    return _open("C1", "truth.mrc")


def open_icosahedral_particles() -> list[LayerData]:
    """Open 400 particles of an icosahedral shell."""
    return _open("I", "particles.star")


def open_icosahedral_map() -> list[LayerData]:
    """Open the map of an icosahedral shell."""
    return _open("I", "truth.mrc")


def _bases() -> tuple[Path, Path]:
    """Return the folders of samples: in the user's cache, and in the temporary folder."""
    cache = Path(platformdirs.user_cache_dir("napari-ini3d", appauthor=False)) / "samples"
    own = f"napari-ini3d-{getpass.getuser()}"  # the temporary folder is shared by all users
    return cache, Path(tempfile.gettempdir()) / own / "samples"


def _open(symmetry: str, file_name: str) -> list[LayerData]:
    """Read a sample; one that has to be simulated first does not make a window wait."""
    if "napari" in sys.modules and not _is_made(symmetry):
        from napari_ini3d.plugin.viewer import open_in_background, placeholder_layer

        title = f"Simulating the sample {symmetry}, once"
        if open_in_background(
            title, lambda task: _read(symmetry, file_name, read_files, task.step), steps=_STEPS
        ):
            return [placeholder_layer(title)]
    return _read(symmetry, file_name, read_layers, lambda _: None)


def _read(
    symmetry: str,
    file_name: str,
    read: Callable[[str], list[LayerData]],
    step: Callable[[str], None],
) -> list[LayerData]:
    folder = sample_folder(symmetry, step)
    ((data, keywords, kind),) = read(str(folder / file_name))
    what = "map" if file_name.endswith(".mrc") else "particles"
    return [(data, keywords | {"name": f"{symmetry} sample {what}"}, kind)]


def _make_sample(base: Path, name: str, recipe: _Recipe, step: Callable[[str], None]) -> Path:
    """Simulate a sample; its folder appears only when it is complete."""
    step("Making the molecule")
    phantom = make_phantom(recipe.symmetry, **recipe.phantom)
    simulated = simulate_particles(
        phantom, recipe.particles, step=lambda: step("Simulating particles")
    )
    step("Writing the sample")
    base.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(dir=base))
    try:
        write_dataset(made, simulated, phantom)
        if not (base / name).is_dir():
            made.rename(base / name)
    finally:
        shutil.rmtree(made, ignore_errors=True)
    return base / name
