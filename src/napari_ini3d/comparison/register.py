"""Find the rotation, shift and hand that lay one map upon another.

A map that is turned by M and then shifted by u has the transform ``A(Mᵀ k) exp(-2πi k·u)``.
Shells are brought to equal power first, so that a round particle does not hide what tells its
sides apart. A grid of rotations is tried at low resolution against a grid of shifts (all shifts
in one matrix product); the best of both hands are refined continuously at rising resolution, at
last with shells weighted by how well they agree.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from napari_ini3d._types import Complex128, Float32, Float64, FloatArray
from napari_ini3d.errors import MapError
from napari_ini3d.fourier import TABLE_SHELL, Spectrum, half_ball, mirror_map, rotate_map
from napari_ini3d.geometry import RigidTransform

_GRID_SIZE = 7000  # rotations, about 13° apart
_GRID_DETAIL = 0.22  # finest detail in the grid search, as a share of the particle's extent
_GRID_REACH = 2  # steps of the shift, of a quarter of that detail, to each side
_KEPT = 12  # candidates of each hand that are refined
_CLIMBERS = 5  # of each hand, that go on after the first steps
_FINALISTS = 2  # of each hand, refined at twice the resolution
_MAX_SHELL = 32
_LEAST_FSC = 0.15  # shells beyond the first that agrees less do not count in the end
_FIRST_STEPS, _FEW_STEPS = 2, 5  # of the climb, before the last
_SMALL_STEP, _SLOPE_STEP = 0.003, 0.02  # voxels
_CHUNK = 256  # rotations at a time


@dataclass(frozen=True, slots=True)
class Registration:
    """How a map is laid upon another: mirrored or not, then shifted, then turned.

    Attributes
    ----------
    transform : RigidTransform
        Voxels.
    mirrored : bool
        True where z becomes -z first: the map had the other hand.
    score : float
        Correlation of the Fourier components that were compared, at most 1.
    """

    transform: RigidTransform
    mirrored: bool
    score: float

    def apply(self, volume: FloatArray) -> Float32:
        """Return the map laid upon the reference, (n, n, n) float32."""
        hand = mirror_map(volume) if self.mirrored else volume
        return rotate_map(hand, self.transform.rotation, self.transform.shift)


@dataclass(frozen=True, slots=True)
class _Pose:
    """Turn by `rotation`, then shift by `shift`, both about the centres of mass."""

    rotation: Float64
    shift: Float64
    score: float


@dataclass(frozen=True, slots=True)
class _Comparison:
    """Two maps on the frequencies up to one shell, with the weight of each frequency."""

    target: Complex128  # (K,), whitened, weighted, of length 1
    moving: Spectrum
    frequencies: Float64  # (K, 3)
    gain: Float64  # (K,), whitens and weights the moving map
    box_size: int
    lever: float  # voxels that a turn of one radian counts as

    def pose(self, start: _Pose, change: Float64) -> Complex128:
        """Return the moving map after a change to a pose, as components of total length 1, (K,).

        The change is a rotation vector times the lever and a shift, both in voxels.
        """
        rotation = _turned(start.rotation, change[:3] / self.lever)
        components = self.moving.read(self.frequencies @ rotation) * self.gain
        ramp = np.exp(self.ramp_rate @ (start.shift + change[3:]))
        return np.asarray(components * ramp / np.linalg.norm(components), dtype=np.complex128)

    @property
    def ramp_rate(self) -> Complex128:
        """Change of the logarithm of each component with a shift by one voxel, (K, 3)."""
        return np.asarray(-2j * np.pi / self.box_size * self.frequencies, dtype=np.complex128)


def register_maps(
    reference: FloatArray,
    moving: FloatArray,
    *,
    mask_radius: float | None = None,
    both_hands: bool = True,
) -> Registration:
    """Find how `moving` is laid upon `reference`, from any orientation.

    Parameters
    ----------
    reference, moving : (n, n, n)
        Real space, of one voxel size.
    mask_radius : float, optional
        Voxels; what is compared. 0.45 n where left out.
    both_hands : bool
        Try the mirror image too.

    Returns
    -------
    Registration
        The same for the same maps.

    Raises
    ------
    MapError
        Where a map is not a finite cube of the size of the other, or is constant.
    """
    check_pair(reference, moving)
    n = reference.shape[0]
    radius = mask_radius or 0.45 * n
    top = min(_MAX_SHELL, n // 2 - 2)
    target = Spectrum.of(reference, radius, top)
    hands = [moving, mirror_map(moving)] if both_hands else [moving]
    spectra = [Spectrum.of(hand, radius, top) for hand in hands]
    grid_shell = int(np.clip(n / (_GRID_DETAIL * target.extent), 3, min(TABLE_SHELL, top)))
    best = [_search(target, spectrum, n, grid_shell) for spectrum in spectra]
    hand = max(range(len(best)), key=lambda i: best[i].score)
    pose = _polish(target, spectra[hand], best[hand], n)
    shift = spectra[hand].centre - pose.rotation.T @ (pose.shift + target.centre)
    return Registration(RigidTransform(pose.rotation, shift), hand == 1, pose.score)


def check_pair(first: FloatArray, second: FloatArray) -> None:
    """Raise MapError unless two maps are finite cubes of one size, and not constant."""
    if first.ndim != 3 or len({*first.shape, *second.shape}) != 1:
        raise MapError(
            f"the maps have the shapes {first.shape} and {second.shape}; expected two cubes of "
            "one size: bring them to one box and voxel size first"
        )
    for name, volume in (("first", first), ("second", second)):
        if not np.isfinite(volume).all():
            raise MapError(f"the {name} map holds NaN or Inf; write it again without them")
        if volume.min() == volume.max():
            raise MapError(f"the {name} map is constant ({volume.flat[0]:g}); nothing to compare")


def uniform_rotations(count: int) -> Float64:
    """Return rotation matrices spread evenly, (count, 3, 3).

    Super-Fibonacci spirals: M. Alexa, CVPR 2022, doi:10.1109/CVPR52688.2022.00811.
    """
    place = np.arange(count) + 0.5
    inner, outer = np.sqrt(place / count), np.sqrt(1 - place / count)
    alpha = 2 * np.pi * place / np.sqrt(2)
    beta = 2 * np.pi * place / 1.533751168755204288118041
    parts = [inner * np.sin(alpha), inner * np.cos(alpha), outer * np.sin(beta)]
    return Rotation.from_quat(np.stack([*parts, outer * np.cos(beta)], axis=1)).as_matrix()


def _search(target: Spectrum, moving: Spectrum, box_size: int, shell: int) -> _Pose:
    """Return the best pose from a grid of rotations and shifts, refined in two steps."""
    coarse = _compare(target, moving, box_size, shell)
    poses = _try_grid(coarse, shell)
    for steps, kept in ((_FIRST_STEPS, _CLIMBERS), (_FEW_STEPS - _FIRST_STEPS, _FINALISTS)):
        climbed = [_refine(coarse, pose, steps) for pose in poses]
        poses = sorted(climbed, key=lambda pose: -pose.score)[:kept]
    finer = _compare(target, moving, box_size, min(2 * shell, target.max_shell))
    finalists = [_refine(finer, pose, _FEW_STEPS) for pose in poses]
    return max(finalists, key=lambda pose: pose.score)


def _compare(
    target: Spectrum,
    moving: Spectrum,
    box_size: int,
    max_shell: int,
    weight: Float64 | None = None,
) -> _Comparison:
    """Whiten two maps up to a shell; the weight of shell s is 1 / s, or as given."""
    frequencies, shell = half_ball(max_shell)
    weight = 1 / np.arange(1, max_shell + 1) if weight is None else weight
    gains, values = [], []
    for spectrum in (target, moving):
        component = spectrum.read(frequencies)
        power = np.bincount(shell, np.abs(component) ** 2)[1:] / np.bincount(shell)[1:]
        gains.append(np.sqrt(weight / np.maximum(power, 1e-30))[shell - 1])
        values.append(component)
    lever = target.extent / 4
    fixed = values[0] * gains[0]
    fixed /= np.linalg.norm(fixed)
    return _Comparison(fixed, moving, frequencies, gains[1], box_size, lever)


def _try_grid(comparison: _Comparison, shell: int) -> list[_Pose]:
    """Return the best poses of the grid, no two of them alike."""
    rotations = uniform_rotations(_GRID_SIZE)
    step = comparison.box_size / shell / 4
    line = np.arange(-_GRID_REACH, _GRID_REACH + 1) * step
    shifts = np.stack(np.meshgrid(line, line, line), axis=-1).reshape(-1, 3)
    ramp = np.exp(comparison.ramp_rate @ shifts.T)
    kernel = (ramp * comparison.target.conj()[:, None]).astype(np.complex64)  # (K, T)
    kernel_parts = np.concatenate([kernel.real, -kernel.imag])  # (2 K, T)
    scores = np.concatenate(
        [
            _turn(comparison, rotations[start : start + _CHUNK]) @ kernel_parts
            for start in range(0, len(rotations), _CHUNK)
        ]
    )  # (R, T)
    return _pick_distinct(rotations, shifts, scores)


def _turn(comparison: _Comparison, rotations: Float64) -> Float32:
    """Return the turned, normalised components as real numbers, (R, 2 K)."""
    turned = comparison.moving.look_up(comparison.frequencies @ rotations)  # (R, K)
    turned *= comparison.gain.astype(np.float32)
    turned /= np.linalg.norm(turned, axis=1, keepdims=True)
    return np.concatenate([turned.real, turned.imag], axis=1)


def _pick_distinct(rotations: Float64, shifts: Float64, scores: Float32) -> list[_Pose]:
    """Return the best rotations, each with its best shift, at least 20° apart."""
    best = scores.max(axis=1)
    free = np.ones(len(rotations), dtype=bool)
    least_trace = 1 + 2 * np.cos(np.deg2rad(20.0))
    poses: list[_Pose] = []
    while len(poses) < _KEPT and free.any():
        i = int(np.where(free, best, -np.inf).argmax())
        poses.append(_Pose(rotations[i], shifts[scores[i].argmax()], float(best[i])))
        free &= np.einsum("rij,ij->r", rotations, rotations[i]) < least_trace
    return poses


def _refine(comparison: _Comparison, start: _Pose, most_steps: int = 12) -> _Pose:
    """Climb from a pose to the nearest maximum of the score, by Gauss-Newton steps."""
    components = comparison.pose(start, np.zeros(6))
    score = _overlap(components, comparison.target)
    for _ in range(most_steps):
        change = _gauss_newton_step(comparison, start, components, score)
        for _ in range(4):  # halve a step that leads down
            trial = comparison.pose(start, change)
            gain = _overlap(trial, comparison.target) - score
            if gain > 0:
                break
            change = change / 2
        else:
            break
        rotation = _turned(start.rotation, change[:3] / comparison.lever)
        start = _Pose(rotation, start.shift + change[3:], score + gain)
        components, score = trial, score + gain
        if np.abs(change).max() < _SMALL_STEP:
            break
    return _Pose(start.rotation, start.shift, score)


def _gauss_newton_step(
    comparison: _Comparison, pose: _Pose, components: Complex128, score: float
) -> Float64:
    """Return the change (6,) that brings the components nearest to the target's, to first order."""
    slopes = np.empty((len(components), 6), dtype=np.complex128)
    for axis in range(3):
        change = np.zeros(6)
        change[axis] = _SLOPE_STEP
        slopes[:, axis] = (comparison.pose(pose, change) - components) / _SLOPE_STEP
    slopes[:, 3:] = comparison.ramp_rate * components[:, None]
    residual = comparison.target / max(score, 0.2) - components
    normal = (slopes.conj().T @ slopes).real
    normal += np.eye(6) * 1e-6 * np.trace(normal)
    step = np.asarray(np.linalg.solve(normal, (slopes.conj().T @ residual).real))
    longest = comparison.box_size / np.abs(comparison.frequencies).max() / 3
    return np.asarray(step * min(1.0, longest / max(float(np.abs(step).max()), 1e-12)))


def _overlap(components: Complex128, target: Complex128) -> float:
    return float(np.vdot(target, components).real)


def _turned(rotation: Float64, vector: Float64) -> Float64:
    return np.asarray(Rotation.from_rotvec(vector).as_matrix() @ rotation)


def _polish(target: Spectrum, moving: Spectrum, pose: _Pose, box_size: int) -> _Pose:
    """Refine with all shells that agree, each weighted by its signal-to-noise ratio."""
    for _ in range(2):
        agreement = _shell_agreement(target, moving, pose, box_size)
        low = np.flatnonzero(agreement < _LEAST_FSC)
        last = max(int(low[0]) if len(low) else len(agreement), 3)
        trusted = np.clip(agreement[:last], 0.01, 0.97)
        comparison = _compare(target, moving, box_size, last, trusted / (1 - trusted))
        pose = _refine(comparison, pose)
    return pose


def _shell_agreement(target: Spectrum, moving: Spectrum, pose: _Pose, box_size: int) -> Float64:
    """Return the correlation of the two maps in shells 1, 2, ... at a pose."""
    frequencies, shell = half_ball(target.max_shell)
    ramp = np.exp(-2j * np.pi / box_size * (frequencies @ pose.shift))
    turned = moving.read(frequencies @ pose.rotation) * ramp
    fixed = target.read(frequencies)
    cross = np.bincount(shell, (turned * fixed.conj()).real)[1:]
    power = np.bincount(shell, np.abs(turned) ** 2)[1:] * np.bincount(shell, np.abs(fixed) ** 2)[1:]
    return np.asarray(cross / np.sqrt(np.maximum(power, 1e-30)))
