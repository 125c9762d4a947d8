"""Recipes: what a worker needs to compute, small enough to travel. No images are among them.

Data that are sent to one worker are lost with it. So a worker gets paths and rows, and reads the
images itself; a worker that takes the place of another reads them too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from napari_ini3d._types import IntArray, UInt32
from napari_ini3d.engine import EngineState, Plan, ResolvedSettings
from napari_ini3d.io import StackReader
from napari_ini3d.particles import Assignments, ImageSource, Particles

OpenImages = Callable[[float], ImageSource]
"""Opens images, and is told how many bytes of them may stay in memory."""

_COMPARED = ("origin_x", "origin_y", "scale")  # all that the expectation asks of the assignments


@dataclass(frozen=True, slots=True, kw_only=True)
class StackRecipe:
    """Opens the images of particles on a worker.

    Attributes
    ----------
    particles : Particles
        Of the run; relative paths of stacks are made absolute where the run was started.
    box_size : int
    pixel_size : float
        Å, of the images as they are compared.
    checksums : (N,) uint32 or None
        Of the images as they were checked.
    max_excluded : float
        Largest fraction of the images that a worker may exclude.
    scratch : str or None
        Folder on the worker's local disk.
    """

    particles: Particles
    box_size: int
    pixel_size: float
    checksums: UInt32 | None = None
    max_excluded: float = 0.05
    scratch: str | None = None

    def __call__(self, keep_bytes: float) -> StackReader:
        """Return a reader of the images, whose stacks have been checked.

        Parameters
        ----------
        keep_bytes : float
            Of the images that stay in memory once they were read.
        """
        return StackReader(
            self.particles,
            keep_bytes=keep_bytes,
            box_size=self.box_size,
            pixel_size=self.pixel_size,
            checksums=self.checksums,
            max_excluded=self.max_excluded,
            scratch=self.scratch,
        )

    @property
    def absolute(self) -> StackRecipe:
        """The same recipe for processes that work in another folder."""
        paths = tuple(Path(path).absolute() for path in self.particles.stack_paths)
        return replace(self, particles=replace(self.particles, stack_paths=paths))


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecipe:
    """What stays the same through a run.

    Attributes
    ----------
    key : str
        Of this run, unique; before a slash that of its images.
    open_images : callable
        Opens the images of all particles (`StackRecipe`).
    subset : (M,) int64 or None
        Positions of the particles of this run among them; None for all.
    particles : Particles
        Of this run.
    settings : ResolvedSettings
    versions : mapping
        Of the packages that compute, where the run was started.
    sharing : int
        Workers that share the memory of a machine.
    """

    key: str
    open_images: OpenImages
    subset: IntArray | None
    particles: Particles
    settings: ResolvedSettings
    versions: Mapping[str, str]
    sharing: int


@dataclass(frozen=True, slots=True, kw_only=True)
class IterationRecipe:
    """What references and priors are made of.

    Attributes
    ----------
    key : str
        Of this iteration, unique.
    state : EngineState
        Without what is not compared: running sums, poses, history.
    plan : Plan
    is_gpu : bool
        Whether the workers compute on GPUs.
    """

    key: str
    state: EngineState
    plan: Plan
    is_gpu: bool


def without_unused(state: EngineState) -> EngineState:
    """Return a state with all that the expectation uses, to be sent to the workers."""
    nothing: Any = np.zeros(0, np.float32)
    assignments: dict[str, Any] = {
        f.name: getattr(state.assignments, f.name) if f.name in _COMPARED else nothing
        for f in fields(Assignments)
    }
    models = tuple(
        replace(
            model,
            numerator=nothing,
            denominator=nothing,
            blended_numerator=nothing,
            blended_denominator=nothing,
        )
        for model in state.models
    )
    return replace(
        state,
        models=models,
        assignments=Assignments(**assignments),
        alternative=None,
        drift=replace(state.drift, maps=nothing),
    )
