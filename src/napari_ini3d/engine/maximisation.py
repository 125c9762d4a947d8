"""Maximisation step: the model that follows from the sums of an iteration.

The new sums are blended into the running sums, N <- (1 - η) N + η N_new, and likewise the
weights; the map is their Wiener quotient. This is expectation maximisation on mini-batches with
forgetting (Neal & Hinton, 1998; Cappé & Moulines, 2009): with η = 1 on all particles it is the
plain algorithm; with η < 1 on small subsets it is a stochastic one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from napari_ini3d._types import Complex64, Float32, Float64
from napari_ini3d.engine.context import RunContext
from napari_ini3d.engine.noise import update_noise
from napari_ini3d.engine.regularisation import (
    HalfSetFSC,
    RealSpaceConstraints,
    cube_shells,
    divide_by_weight,
    half_set_fsc,
    wiener_divide,
)
from napari_ini3d.engine.schedule import Phase, Plan
from napari_ini3d.engine.state import FIRST_SIGMA_OFFSET, NO_SUMS, EngineState, ModelState
from napari_ini3d.engine.sums import IterationSums
from napari_ini3d.fourier import frequency_disk
from napari_ini3d.kernels import Backend

Scalar = TypeVar("Scalar", np.complex64, np.float32)

_MOMENTUM: dict[Phase, float] = {"starts": 0.0, "search": 0.8, "refine": 0.0, "final": 0.0}
_NOISY_FSC, _CLEAN_FSC = 0.5, 0.9  # no momentum below the first, all of it above the second
_LEAST_WEIGHT = 0.3  # of a sum of weights, after it was extrapolated
_LEAST_SHARE = 0.02  # minimum share of a class, relative to 1 / K


@dataclass(frozen=True, slots=True, kw_only=True)
class Update:
    """A model after an iteration, with the agreement of its half-sets.

    Attributes
    ----------
    model : ModelState
    half_sets : tuple of HalfSetFSC
        Per class.
    map_change : (K,) float64
        Relative L2 change.
    """

    model: ModelState
    half_sets: tuple[HalfSetFSC, ...]
    map_change: Float64


def maximisation(
    run: RunContext, state: EngineState, plan: Plan, sums: list[IterationSums]
) -> list[Update]:
    """Return each model after the iteration.

    Parameters
    ----------
    run : RunContext
    state : EngineState
    plan : Plan
    sums : list of IterationSums
        Per model; used up.
    """

    def maximise(given: tuple[ModelState, IterationSums]) -> Update:
        model, of_model = given
        new = symmetrised(of_model, run.imposed_operators(model, plan.phase), run.executor.backend)
        update = update_maps(
            model,
            new,
            plan.step_size,
            plan.radius,
            run.constraints,
            _MOMENTUM[plan.phase],
            grow_mask=plan.phase != "starts",
        )
        return replace(update, model=update_noise_and_classes(run, update.model, plan, of_model))

    return run.executor.map_on_cpu(maximise, zip(state.models, sums, strict=True))


def update_noise_and_classes(
    run: RunContext, model: ModelState, plan: Plan, sums: IterationSums
) -> ModelState:
    """Return the model with its evidence, noise and class shares updated.

    The starts keep the first noise estimate and equal classes, so that their evidence is
    comparable.
    """
    evidence = np.append(model.evidence, sums.mean_of("log_evidence"))
    if plan.phase == "starts":
        return replace(model, evidence=evidence)
    disk = frequency_disk(run.geometry.box_size, plan.radius)
    return replace(
        model,
        evidence=evidence,
        sigma2=update_noise(model.sigma2, sums, disk),
        class_shares=_update_class_shares(model, plan, sums),
        sigma_offset=_update_sigma_offset(run, model, plan, sums),
    )


def _update_class_shares(model: ModelState, plan: Plan, sums: IterationSums) -> Float64:
    """Return the shares of the classes (K,), moved towards those of this iteration.

    Only from the refinement on: in the search the map of a class with fewer images is noisier,
    which costs it more images; a prior that follows makes the class with the most take them all.
    """
    if plan.phase == "search":
        return model.class_shares
    total = max(sums.class_weight.sum(), 1e-30)
    found = np.maximum(sums.class_weight / total, _LEAST_SHARE / len(model.maps))
    mixed = (1 - plan.step_size) * model.class_shares + plan.step_size * found
    shares: Float64 = mixed / mixed.sum()
    return shares


def _update_sigma_offset(
    run: RunContext, model: ModelState, plan: Plan, sums: IterationSums
) -> Float64:
    """Return the standard deviation of the shifts (Å), moved towards that of this iteration.

    It only widens: at low signal-to-noise ratio the best shifts follow the prior, and would make
    it narrower and narrower.
    """
    index = np.concatenate([p.index for p in sums.poses])
    shift = np.concatenate([p.shift for p in sums.poses])  # (B, 2), pixels
    particle = 1 - np.concatenate([p.junk_probability for p in sums.poses])  # (B,)
    expected = np.stack([run.particles.origin_x[index], run.particles.origin_y[index]], -1)
    distance2 = ((shift * run.geometry.pixel_size - expected) ** 2).sum(1)  # (B,), Å²
    found = (particle * distance2).sum(dtype=np.float64) / max(float(particle.sum()), 1e-6)
    variance = (1 - plan.step_size) * model.sigma_offset**2 + plan.step_size * found / 2
    return np.asarray(np.clip(np.sqrt(variance), FIRST_SIGMA_OFFSET, None))


def complete_friedel(numerator: Complex64, denominator: Float32) -> None:
    """Add the Friedel mates of the plane kx = 0 of a half cube to it, in place."""
    numerator[..., 0] += numerator[..., ::-1, ::-1, 0].conj()
    denominator[..., 0] += denominator[..., ::-1, ::-1, 0].copy()


def inner_cube(cube: npt.NDArray[Scalar], m: int) -> npt.NDArray[Scalar]:
    """Return a view of the half cube (..., 2m + 1, 2m + 1, m + 2) within a larger one."""
    big = cube.shape[-3] // 2
    inner = slice(big - m, big + m + 1)
    return cube[..., inner, inner, : m + 2]


def symmetrised(
    sums: IterationSums, operators: Float32, backend: Backend
) -> tuple[Complex64, Float32]:
    """Return numerator and denominator, per image, averaged over a point group's operators.

    The sums are changed in place.
    """
    complete_friedel(sums.numerator, sums.denominator)
    scale = np.float32(1 / (sums.total * len(operators)))
    sums.numerator *= scale
    sums.denominator *= scale
    if len(operators) == 1:
        return sums.numerator, sums.denominator
    numerator, denominator = np.zeros_like(sums.numerator), np.zeros_like(sums.denominator)
    for k, half in np.ndindex(numerator.shape[:2]):
        one = symmetrised_cube(
            sums.numerator[k, half], sums.denominator[k, half], operators, backend
        )
        numerator[k, half], denominator[k, half] = one
    return numerator, denominator


def symmetrised_cube(
    numerator: Complex64, denominator: Float32, operators: Float32, backend: Backend
) -> tuple[Complex64, Float32]:
    """Return numerator and denominator (cube) summed over operators (G, 3, 3), on the host."""
    with backend.device.enter():
        given = [backend.to_device(a) for a in (numerator, denominator, operators)]
        filled = [backend.xp.zeros_like(a) for a in given[:2]]
        backend.kernels.symmetrise(*given, *filled)
        return backend.to_host(filled[0]), backend.to_host(filled[1])


def update_maps(
    model: ModelState,
    new: tuple[Complex64, Float32],
    step_size: float,
    radius: int,
    constraints: RealSpaceConstraints,
    momentum: float = 0.0,
    *,
    grow_mask: bool = False,
) -> Update:
    """Return the model with the new sums blended in, and the maps that follow.

    Parameters
    ----------
    model : ModelState
    new : (K, 2, cube) complex64 and float32
        Numerator and denominator per half-set, Friedel plane completed, per image.
    step_size : float
        η.
    radius : int
        Fourier radius of the new sums.
    constraints : RealSpaceConstraints
    momentum : float
        Fraction of the last step by which the sums are extrapolated.
    """
    numerator, denominator = _blend(model, new, step_size)
    blended = NO_SUMS
    if momentum:
        before = model.sums_without_momentum
        blended = numerator.copy(), denominator.copy()
    m = new[0].shape[-3] // 2
    padding, tau2_fudge = constraints.settings.padding_factor, constraints.settings.tau2_fudge
    beyond = cube_shells(m, padding) > radius  # (cube)
    half_sets, maps = [], []
    for k in range(len(numerator)):
        n, w = inner_cube(numerator[k], m), inner_cube(denominator[k], m)  # (2, cube)
        found = _fsc_of_sums(n, w, constraints)
        if momentum:
            factor = momentum * np.clip((found.fsc - _NOISY_FSC) / (_CLEAN_FSC - _NOISY_FSC), 0, 1)
            earlier = inner_cube(before[0][k], m), inner_cube(before[1][k], m)
            _extrapolate(n, w, *earlier, factor, padding)
            found = _fsc_of_sums(n, w, constraints)
        found.fsc[radius + 1 :] = 0
        cube = wiener_divide(n.sum(0), w.sum(0), found.ssnr * tau2_fudge, padding)
        cube[beyond] = 0
        half_sets.append(found)
        maps.append(constraints.to_map(cube, grow_mask=grow_mask))
    new_maps = np.stack(maps)  # (K, n, n, n)
    return Update(
        model=replace(
            model,
            maps=new_maps,
            numerator=numerator,
            denominator=denominator,
            blended_numerator=blended[0],
            blended_denominator=blended[1],
            fsc_sum=np.append(model.fsc_sum, sum(found.fsc.sum() for found in half_sets)),
        ),
        half_sets=tuple(half_sets),
        map_change=_relative_change(model.maps, new_maps),
    )


def _fsc_of_sums(
    numerator: Complex64, denominator: Float32, constraints: RealSpaceConstraints
) -> HalfSetFSC:
    """Return the agreement of the half-sets of one class, from sums (2, cube)."""
    padding = constraints.settings.padding_factor
    first, second = (divide_by_weight(numerator[h], denominator[h], padding) for h in (0, 1))
    return half_set_fsc(first, second, padding, constraints.box_size // 2 + 1)


def _extrapolate(
    numerator: Complex64,
    denominator: Float32,
    numerator_before: Complex64,
    denominator_before: Float32,
    factor: Float64,
    padding: int,
) -> None:
    """Move sums (2, cube) of one class further along their last step, in place.

    At low signal-to-noise ratio expectation maximisation moves by small steps of nearly the same
    direction; to extrapolate them (Nesterov's momentum) makes it several times faster. The
    factor (n_shells,) is lower in noisy shells, where steps are at random.
    """
    shells = np.minimum(cube_shells(numerator.shape[-3] // 2, padding), len(factor) - 1)
    of_voxel = factor[shells].astype(np.float32)  # (cube)
    numerator += of_voxel * (numerator - numerator_before)
    moved = denominator + of_voxel * (denominator - denominator_before)
    np.maximum(moved, _LEAST_WEIGHT * denominator, out=denominator)


def _blend(
    model: ModelState, new: tuple[Complex64, Float32], step_size: float
) -> tuple[Complex64, Float32]:
    numerator, denominator = model.numerator.copy(), model.denominator.copy()
    m = new[0].shape[-3] // 2
    numerator *= np.float32(1 - step_size)
    denominator *= np.float32(1 - step_size)
    inner_cube(numerator, m)[...] += new[0] * np.float32(step_size)
    inner_cube(denominator, m)[...] += new[1] * np.float32(step_size)
    return numerator, denominator


def _relative_change(old: Float32, new: Float32) -> Float64:
    axes = (1, 2, 3)
    change: Float64 = np.sqrt(((new - old) ** 2).sum(axes, dtype=np.float64))
    length: Float64 = np.sqrt((new**2).sum(axes, dtype=np.float64))
    # infinite after an empty map, as from noise alone
    return np.divide(change, length, out=np.full_like(change, np.inf), where=length > 0)
