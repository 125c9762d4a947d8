"""RunContext: everything that stays the same through all iterations of a run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from napari_ini3d._types import Float32
from napari_ini3d.engine.executor import TileExecutor
from napari_ini3d.engine.images import ImagePreparation
from napari_ini3d.engine.regularisation import RealSpaceConstraints
from napari_ini3d.engine.resolved_settings import ResolvedSettings
from napari_ini3d.engine.schedule import ImageGeometry, Phase
from napari_ini3d.engine.state import NO_GROUP, ModelState
from napari_ini3d.geometry import symmetry_operators
from napari_ini3d.particles import ImageSource, Particles


@dataclass(frozen=True, slots=True)
class RunContext:
    """What stays the same through a run.

    Attributes
    ----------
    source : ImageSource
    particles : Particles
    settings : ResolvedSettings
    executor : TileExecutor
        Owns the threads; its `backend` is where the run is computed.
    geometry : ImageGeometry
    preparation : ImagePreparation
        From images as read to tiles.
    constraints : RealSpaceConstraints
    operators : (G, 3, 3) float32
        Of the point group that is imposed at every iteration; the identity without one.
    """

    source: ImageSource
    particles: Particles
    settings: ResolvedSettings
    executor: TileExecutor
    geometry: ImageGeometry
    preparation: ImagePreparation
    constraints: RealSpaceConstraints
    operators: Float32

    def imposed_group(self, model: ModelState, phase: Phase) -> str:
        """Return the point group that is imposed on a model in a phase.

        That of its start, in the starts and the search; or that of the settings.
        """
        if model.point_group == NO_GROUP or phase not in ("starts", "search"):
            return self.settings.imposed_group
        return model.point_group

    def imposed_operators(self, model: ModelState, phase: Phase) -> Float32:
        """Return the operators (G, 3, 3) of the point group that is imposed on a model."""
        group = self.imposed_group(model, phase)
        if group == self.settings.imposed_group:
            return self.operators
        return symmetry_operators(group).astype(np.float32)

    @classmethod
    def of(
        cls,
        source: ImageSource,
        particles: Particles,
        settings: ResolvedSettings,
        executor: TileExecutor,
    ) -> Self:
        """Return the context of a run."""
        return cls(
            source=source,
            particles=particles,
            settings=settings,
            executor=executor,
            geometry=ImageGeometry(
                box_size=source.box_size,
                pixel_size=source.pixel_size,
                diameter=settings.mask_diameter,
                n_particles=len(particles),
            ),
            preparation=ImagePreparation(
                particles=particles,
                pixel_size=source.pixel_size,
                mask_diameter=settings.mask_diameter,
                ctf=settings.ctf,
                ignore_first_peak=settings.ctf_ignore_first_peak,
                backend=executor.backend,
                invert=settings.invert_contrast == "yes",
            ),
            constraints=RealSpaceConstraints(settings, source.box_size, source.pixel_size),
            operators=symmetry_operators(settings.imposed_group).astype(np.float32),
        )
