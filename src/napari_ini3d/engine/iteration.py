"""One iteration: plan, frames, tiles, sums, model, report."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from napari_ini3d._types import Complex64, Float32, Float64, IntArray
from napari_ini3d.engine.convergence import IterationOutcome, empty_assignments, make_report
from napari_ini3d.engine.executor import TileExecutor
from napari_ini3d.engine.expectation.coarse import expect
from napari_ini3d.engine.images import ImagePreparation, draw_subset, split_into_tiles
from napari_ini3d.engine.initialisation import initial_noise, random_map
from napari_ini3d.engine.maximisation import (
    IterationSums,
    Update,
    symmetrised,
    update_model,
    update_noise,
)
from napari_ini3d.engine.memory import Workload, table_bytes, tile_images
from napari_ini3d.engine.records import IterationReport
from napari_ini3d.engine.references import build_frame
from napari_ini3d.engine.regularisation import RealSpaceConstraints
from napari_ini3d.engine.schedule import (
    ImageGeometry,
    Phases,
    Plan,
    ScheduleInput,
    finest_radius,
    plan_iteration,
)
from napari_ini3d.engine.state import EngineState, ModelState
from napari_ini3d.engine.tiles import Frame, TileSums
from napari_ini3d.engine.timing import StageTimer, ThreadTimer
from napari_ini3d.fourier import frequency_disk
from napari_ini3d.geometry import CHILDREN, random_rotation, symmetry_operators
from napari_ini3d.kernels import Backend, available_threads
from napari_ini3d.particles import ImageBatch, ImageSource, Particles
from napari_ini3d.settings import InitialModelSettings

_TURN_STREAM, _BIAS_STREAM = 17, 19
_SIGMA_OFFSET = 10.0  # Å, before anything is known about the shifts
_CLASS_BIAS = 6.0  # log units, at the start of the search
_LEAST_SHARE = 0.02
_LEAST_TILES = 4  # for each of several cards


@dataclass(frozen=True, slots=True)
class _TileResult:
    """The sums of a tile for each model, and the seconds that a thread spent on its parts."""

    sums: list[TileSums]
    seconds: dict[str, float]


class Workshop:
    """Owns what iterations share: threads, images, constraints.

    Parameters
    ----------
    source : ImageSource
    particles : Particles
    settings : InitialModelSettings
        With its mask diameter set.
    backend : Backend
    """

    def __init__(
        self,
        source: ImageSource,
        particles: Particles,
        settings: InitialModelSettings,
        backend: Backend,
    ) -> None:
        assert settings.mask_diameter is not None
        self.source, self.settings, self.backend = source, settings, backend
        self.geometry = ImageGeometry(
            source.box_size, source.pixel_size, settings.mask_diameter, len(particles)
        )
        self.constraints = RealSpaceConstraints(settings, source.box_size, source.pixel_size)
        self.preparation = ImagePreparation(
            particles,
            source.pixel_size,
            settings.mask_diameter,
            settings.ctf,
            settings.ctf_ignore_first_peak,
            backend,
        )
        self._particles = particles
        group = settings.symmetry if settings.symmetry_during_run else "C1"
        self.operators = symmetry_operators(group).astype(np.float32)
        self._crew = TileExecutor(backend, available_threads(settings.threads))

    def close(self) -> None:
        """End the threads."""
        self._crew.close()

    def initial_state(self) -> EngineState:
        """Return the state before the first iteration: random maps, and noise."""
        settings = self.settings
        radius = plan_iteration(ScheduleInput("starts", 0, 0, 0.0), settings, self.geometry).radius
        sigma2 = initial_noise(self.source, self.preparation, settings.seed)
        annealed = settings.anneal_classes or settings.classes == 1
        n_classes = 1 if annealed else settings.classes
        models = tuple(
            self._random_model(start, n_classes, radius, sigma2) for start in range(settings.starts)
        )
        nothing = empty_assignments(self._particles)
        return EngineState(0, "starts", 0, 0, radius, _SIGMA_OFFSET, models, nothing)

    def _random_model(self, start: int, n_classes: int, radius: int, sigma2: Float64) -> ModelState:
        maps = [
            random_map(
                self.source,
                self.preparation,
                self.constraints,
                radius,
                (self.settings.seed, start * n_classes + k),
            )
            for k in range(n_classes)
        ]
        m = finest_radius(self.settings, self.geometry) * self.settings.padding_factor + 1
        shape = (n_classes, 2, 2 * m + 1, 2 * m + 1, m + 2)
        return ModelState(
            np.stack(maps),
            np.zeros(shape, np.complex64),
            np.zeros(shape, np.float32),
            sigma2,
            np.full(n_classes, 1 / n_classes),
            np.zeros(0),
        )

    def iterate(self, state: EngineState) -> IterationReport:
        """Do one iteration; nothing of the state is changed in place."""
        plan = plan_iteration(state.standing, self.settings, self.geometry)
        subset = draw_subset(
            self.geometry.n_particles, state.drawn, plan.subset_size, self.settings.seed
        )
        clock = StageTimer(self.backend)
        with threadpool_limits(1, "blas"):  # tiles share the cores, not their products
            frames = self._frames(state, plan)
            clock.stage("slices")
            sums, parts = self._expect(state, plan, frames, subset)
            clock.stage("expectation", parts)
            updates = self._crew.map_on_cpu(
                lambda each: self._maximise(plan, *each),
                zip(state.models, frames[0], sums, strict=True),
            )
            clock.stage("maximisation")
        best = max(range(len(updates)), key=lambda i: updates[i].model.recent_evidence)
        models = tuple(update.model for update in updates)
        outcome = IterationOutcome(plan, updates[best], sums[best], best, clock.seconds)
        return make_report(state, models, outcome, self.settings, self.geometry)

    def _maximise(self, plan: Plan, model: ModelState, frame: Frame, sums: IterationSums) -> Update:
        new = symmetrised(sums, self.operators, self.backend)
        update = update_model(model, new, plan.step_size, plan.radius, self.constraints)
        return replace(update, model=self._learn(update.model, plan, sums, frame))

    def _learn(
        self, model: ModelState, plan: Plan, sums: IterationSums, frame: Frame
    ) -> ModelState:
        """Return the model with its evidence, noise and class shares brought up to date.

        Starts keep the first noise estimate and equal classes, so that their evidence compares.
        """
        evidence = np.append(model.evidence, sums.mean_of("log_evidence"))
        if plan.phase == "starts":
            return replace(model, evidence=evidence)
        found = np.maximum(sums.class_weight / sums.total, _LEAST_SHARE / frame.n_classes)
        shares = (1 - plan.step_size) * model.class_shares + plan.step_size * found
        return replace(
            model,
            evidence=evidence,
            sigma2=update_noise(
                model.sigma2, sums, frequency_disk(self.source.box_size, plan.radius)
            ),
            class_shares=shares / shares.sum(),
        )

    def _frames(self, state: EngineState, plan: Plan) -> list[list[Frame]]:
        """Return the frame of each model, for each card."""
        cubes = self._crew.map_on_cpu(lambda model: self._cubes(model, plan), state.models)
        frames = []
        for card in self.backend.devices:
            limit = table_bytes(card.device.free_bytes(), is_gpu=card.is_gpu, tables=len(cubes))
            with card.device.enter():
                frames.append(
                    [
                        self._frame(state, plan, model, of_model, card, limit)
                        for model, of_model in zip(state.models, cubes, strict=True)
                    ]
                )
        return frames

    def _cubes(self, model: ModelState, plan: Plan) -> Complex64:
        return np.stack([self.constraints.to_cube(v, plan.radius) for v in model.maps])

    def _frame(
        self,
        state: EngineState,
        plan: Plan,
        model: ModelState,
        cubes: Complex64,
        card: Backend,
        limit: float,
    ) -> Frame:
        rng = np.random.default_rng([self.settings.seed, _TURN_STREAM, state.iteration])
        turn = random_rotation(rng)  # the same for every start
        return build_frame(
            cubes,
            plan,
            turn,
            geometry=self.geometry,
            padding=self.settings.padding_factor,
            sigma_offset=state.sigma_offset,
            offset_limit=self.settings.offset_range,
            class_shares=model.class_shares,
            backend=card,
            run_jobs=_one_by_one if card.is_gpu else self._crew.map_on_cpu,
            table_bytes=limit,
        )

    def _expect(
        self, state: EngineState, plan: Plan, frames: list[list[Frame]], subset: IntArray
    ) -> tuple[list[IterationSums], dict[str, float]]:
        """Return the sums over a subset, for each model, on the host; and the time of the parts."""
        n_shells, n_groups = self.source.box_size // 2 + 1, len(self._particles.optics)
        totals = []
        for card, on_card in zip(self.backend.devices, frames, strict=True):
            with card.device.enter():
                totals.append(
                    [IterationSums(frame.cubes, n_groups, n_shells, card.xp) for frame in on_card]
                )
        works = [self._tile_work(state, plan, on_card) for on_card in frames]
        tile_size = min(self._tile_size(on_card) for on_card in frames)
        if len(frames) > 1 and self.settings.tile_size is None:
            # no card is to wait for another's last tile, or for its first
            tile_size = min(tile_size, -(-len(subset) // (_LEAST_TILES * len(frames))))
        tiles = split_into_tiles(subset, self._particles.optics_index, tile_size)
        batches = self.source.batches(tiles)
        seconds: defaultdict[str, float] = defaultdict(float)  # of all threads
        for i, found in self._crew.compute(lambda i, batch: works[i](batch), batches):
            with self.backend.devices[i].device.enter():
                for total, tile_sums in zip(totals[i], found.sums, strict=True):
                    total.add(tile_sums)
            for name, value in found.seconds.items():
                seconds[name] += value
        parts = {name: value / self._crew.per_card for name, value in seconds.items()}
        return self._gathered(totals), parts

    def _gathered(self, totals: list[list[IterationSums]]) -> list[IterationSums]:
        """Return the sums of all cards, for each model, on the host."""
        gathered: list[IterationSums] = []
        for card, of_card in zip(self.backend.devices, totals, strict=True):
            with card.device.enter():
                there = [total.to_host(card) for total in of_card]
            for total, more in zip(gathered, there, strict=False):
                total.include(more)
            gathered = gathered or there
        return gathered

    def _tile_work(
        self, state: EngineState, plan: Plan, frames: list[Frame]
    ) -> Callable[[ImageBatch], _TileResult]:
        found, sigma2 = state.assignments, state.models[0].sigma2  # starts share the noise
        bias = self._class_bias(state, plan, frames[0].n_classes)
        preparation = replace(self.preparation, backend=frames[0].backend)

        def work(batch: ImageBatch) -> _TileResult:
            clock = ThreadTimer(running=not preparation.backend.is_gpu)
            i = batch.index
            origins = np.stack([found.origin_x[i], found.origin_y[i]], -1)
            tile = preparation.tile(batch, frames[0].disk, origins, sigma2, bias(i))
            clock.part("images made ready")
            return _TileResult([expect(frame, tile, clock) for frame in frames], clock.seconds)

        return work

    def _class_bias(
        self, state: EngineState, plan: Plan, n_classes: int
    ) -> Callable[[IntArray], Float32]:
        """Return a function from particles to what is added to their classes' log priors.

        Annealed classes begin alike; a random preference of each particle, which fades over
        the first half of the search, lets them drift apart.
        """
        length = max(Phases.of(self.settings.iterations).search / 2, 1)
        fading = max(0.0, 1 - state.step / length) if plan.phase == "search" else 0.0
        annealed = self.settings.anneal_classes and n_classes > 1
        if not annealed or fading == 0:
            return lambda index: np.zeros((len(index), n_classes), np.float32)
        rng = np.random.default_rng([self.settings.seed, _BIAS_STREAM])
        preference = rng.random((len(self._particles), n_classes), dtype=np.float32)
        preference *= np.float32(_CLASS_BIAS * fading)
        return lambda index: preference[index]

    def _tile_size(self, frames: list[Frame]) -> int:
        """Return the number of images of a tile that fits beside the frames of one card."""
        if self.settings.tile_size is not None:
            return self.settings.tile_size
        frame, card = frames[0], frames[0].backend
        load = Workload(
            box_size=self.source.box_size,
            n_components=len(frame.disk),
            n_coarse=frame.n_coarse,
            n_rows=len(frame.slices),
            n_shifts=len(frame.shifts),
            n_fine_shifts=len(frame.fine_shifts),
            most_fine_rows=0 if frame.fine_grid is None else CHILDREN * frame.pruning.most,
        )
        free, workers = card.device.free_bytes(), self._crew.per_card
        return tile_images(free, load, is_gpu=card.is_gpu, workers=workers)


def _one_by_one(function: Callable[[Any], None], jobs: Iterable[Any]) -> None:
    """Call a function on each job in this thread, whose device it is."""
    for job in jobs:
        function(job)
