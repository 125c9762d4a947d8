"""Protein-like phantoms: chains of helices in several domains, with any point group."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from napari_ini3d._types import Complex64, Float32, Float64, FloatArray
from napari_ini3d.errors import SettingsError
from napari_ini3d.geometry import euler_to_matrix, symmetry_operators
from napari_ini3d.particles import Assignments, OpticsGroup

Vectors = Float64

_RISE, _RADIUS, _TURN = 1.5, 3.0, np.deg2rad(100.0)  # of an alpha helix, side chains included
_HELIX_SPACING = 9.5  # Å between helix axes
_SHORTEST_HELIX = 9.0  # Å
_TWIST = 0.4  # of a helix bundle: tangent of the tilt of its outermost helices
_LOOP_SPACING = 3.8  # Å between residues of a loop
_OVERLAP = 0.92  # smallest distance of two domains, relative to the sum of their radii
_CHUNK = 1024  # beads at a time


@dataclass(frozen=True, slots=True)
class Phantom:
    """A density made of Gaussian beads.

    Attributes
    ----------
    positions : (M, 3) float64
        Å, (x, y, z) from the rotation centre.
    weights : (M,) float64
    bead_width : float
        Standard deviation of a bead, Å.
    symmetry : str
        Point group, in RELION's convention.
    """

    positions: Vectors
    weights: Vectors
    bead_width: float
    symmetry: str

    @property
    def diameter(self) -> float:
        """Diameter of a sphere around the origin that encloses all beads, Å."""
        return 2 * float(np.linalg.norm(self.positions, axis=1).max())

    def density(self, box_size: int, voxel_size: float, resolution: float | None = None) -> Float32:
        """Return the map of the phantom, computed in Fourier space without aliasing.

        Parameters
        ----------
        box_size : int
            Voxels per side, even.
        voxel_size : float
            Å.
        resolution : float, optional
            Å, of the low-pass filter. Default: Nyquist.

        Returns
        -------
        (n, n, n) float32
            Real space (z, y, x), with the origin at voxel n // 2; its sum is that of the weights.
        """
        n = box_size
        waves = [fourier_waves(self.positions[:, axis], n, voxel_size) for axis in (2, 1, 0)]
        volume_ft = np.zeros((n, n, n // 2 + 1), dtype=np.complex64)
        for start in range(0, len(self.weights), _CHUNK):
            part = slice(start, start + _CHUNK)
            z, y, x = (wave[:, part] for wave in waves)
            x = x[: n // 2 + 1] * self.weights[part].astype(np.float32)
            plane = (y[:, None] * x).reshape(-1, x.shape[1])  # (n * (n // 2 + 1), chunk)
            volume_ft += (z @ plane.T).reshape(volume_ft.shape)
        volume_ft *= self.envelope(half_frequency((n, n, n), voxel_size), voxel_size, resolution)
        volume = np.fft.irfftn(volume_ft, s=(n, n, n), axes=(0, 1, 2))
        return np.asarray(np.fft.fftshift(volume), dtype=np.float32)

    def envelope(
        self, frequency: Vectors, voxel_size: float, resolution: float | None = None
    ) -> Float32:
        """Return the Fourier transform of a bead, with a soft edge at `resolution` (or Nyquist).

        Parameters
        ----------
        frequency : array
            1/Å.
        voxel_size, resolution : float
            Å.
        """
        gauss = np.exp(-2 * np.pi**2 * self.bead_width**2 * frequency**2)
        return np.asarray(gauss * low_pass(frequency, voxel_size, resolution), dtype=np.float32)

    def project_ft(
        self, optics: OpticsGroup, poses: Assignments, resolution: float | None = None
    ) -> Complex64:
        """Return the transforms of projections, (N, n, n // 2 + 1), origin at pixel 0.

        Parameters
        ----------
        optics : OpticsGroup
            Box and pixel size of the images.
        poses : Assignments
            Poses of N images; those of a negative class are left empty.
        resolution : float, optional
            Å, of the low-pass filter. Default: Nyquist.
        """
        n, pixel_size = optics.box_size, optics.pixel_size
        scale = 1 / pixel_size**2  # so that brightness does not depend on the pixel size
        envelope = self.envelope(half_frequency((n, n), pixel_size), pixel_size, resolution) * scale
        axes = euler_to_matrix(poses.rot, poses.tilt, poses.psi)
        weights = self.weights.astype(np.float32)
        images_ft = np.zeros((len(axes), n, n // 2 + 1), dtype=np.complex64)
        for i in np.flatnonzero(poses.class_index >= 0):
            x, y = axes[i, :2] @ self.positions.T
            waves_x = fourier_waves(x - poses.origin_x[i], n, pixel_size)[: n // 2 + 1]
            waves_y = fourier_waves(y - poses.origin_y[i], n, pixel_size)
            images_ft[i] = envelope * (waves_y @ (waves_x * weights).T)
        return images_ft


def make_phantom(
    symmetry: str = "C1",
    *,
    seed: int = 1,
    diameter: float = 120.0,
    inner_diameter: float = 0.0,
    domains: int = 5,
    domain_radius: tuple[float, float] = (13.0, 24.0),
    bead_width: float = 2.0,
) -> Phantom:
    """Make a protein-like phantom: a chiral, asymmetric subunit, repeated by a point group.

    The subunit consists of spherical domains that touch each other, within the asymmetric unit of
    the point group. Each domain contains a chain of right-handed helices and loops.

    Parameters
    ----------
    symmetry : str
        Point group, in RELION's convention.
    seed : int
        Random seed.
    diameter : float
        Maximum diameter around the origin, Å.
    inner_diameter : float
        Diameter of a hollow centre, Å.
    domains : int
        Maximum number of domains of a subunit; fewer if there is no space.
    domain_radius : (float, float)
        Smallest and largest radius of a domain, Å.
    bead_width : float
        Standard deviation of one bead, Å.

    Raises
    ------
    SymmetryError
        For an unknown point group.
    SettingsError
        If there is no space for a single domain.
    """
    operators = symmetry_operators(symmetry)
    rng = np.random.default_rng(seed)
    space = _Space(operators, inner_diameter / 2, diameter / 2, domain_radius)
    centres, radii = _place_domains(space, domains, rng)
    chain = _grow_chain(centres, radii, rng)
    weights = rng.uniform(0.6, 1.4, len(chain))
    if len(operators) == 1:
        chain = chain - np.average(chain, axis=0, weights=weights)
    positions = np.einsum("gij,mj->gmi", operators, chain).reshape(-1, 3)
    return Phantom(positions, np.tile(weights, len(operators)), bead_width, symmetry)


def fourier_waves(coordinate: Vectors, box_size: int, voxel_size: float) -> Complex64:
    """Return exp(-2πi k x) for M positions x and the frequencies of `numpy.fft.fftfreq`.

    Parameters
    ----------
    coordinate : (M,) float64
        Å.
    box_size : int
        Even.
    voxel_size : float
        Å.

    Returns
    -------
    (box_size, M) complex64
        The Nyquist row is the mean over both signs of k, as required for a real image.
    """
    half = box_size // 2
    step = np.exp(-2j * np.pi / (box_size * voxel_size) * coordinate)
    waves = np.empty((box_size, len(coordinate)), dtype=np.complex64)
    power = np.ones_like(step)
    for k in range(half + 1):
        waves[k] = power
        power = power * step
    waves[half].imag = 0
    waves[half + 1 :] = waves[half - 1 : 0 : -1].conj()
    return waves


@dataclass(frozen=True, slots=True)
class _Space:
    operators: Vectors
    inner: float
    outer: float
    radius: tuple[float, float]

    def free_radius(self, centres: Vectors, taken: Vectors, radii: Vectors) -> Vectors:
        """Return the largest possible radius of a domain at each centre, (N,)."""
        length = np.linalg.norm(centres, axis=1)
        free = np.minimum(self.outer - length, self.radius[1])
        free = np.minimum(free, length - self.inner if self.inner else np.inf)
        others = self.operators[1:] - np.eye(3)
        if len(others):
            gap = np.linalg.norm(np.einsum("gij,nj->ngi", others, centres), axis=2)
            free = np.minimum(free, gap.min(axis=1) / 2 / _OVERLAP)
        for centre, radius in zip(taken, radii, strict=True):
            images = self.operators @ centre
            gap = np.linalg.norm(centres[:, None] - images, axis=2).min(axis=1)
            free = np.minimum(free, gap / _OVERLAP - radius)
        return np.asarray(free)


def _place_domains(space: _Space, count: int, rng: np.random.Generator) -> tuple[Vectors, Vectors]:
    """Place spheres that are as large as the space allows, each in contact with an earlier one."""
    centres, radii = np.empty((0, 3)), np.empty(0)
    for _ in range(count):
        trial = rng.uniform(-space.outer, space.outer, (4000, 3))
        free = space.free_radius(trial, centres, radii)
        limit = rng.uniform(0.8, 1.0, len(trial)) * space.radius[1]  # for different sizes
        chosen = np.minimum(free, limit)
        allowed = chosen >= space.radius[0]
        if len(centres):
            gap = np.linalg.norm(trial[:, None] - centres, axis=2) - radii
            allowed &= gap.min(axis=1) < 1.1 * chosen
        if not allowed.any():
            break
        best = int(np.where(allowed, chosen + rng.uniform(0, 3, len(trial)), -np.inf).argmax())
        centres, radii = np.vstack([centres, trial[best]]), np.append(radii, chosen[best])
    if not len(centres):
        raise SettingsError(
            f"no space for a domain of {space.radius[0]:g} Å radius within {2 * space.outer:g} Å "
            f"among {len(space.operators)} copies; give a larger diameter or smaller domains"
        )
    return centres, radii


def _grow_chain(centres: Vectors, radii: Vectors, rng: np.random.Generator) -> Vectors:
    """Return the residues of a chain of helices and loops through all domains, (M, 3)."""
    residues: list[Vectors] = []
    for centre, radius in zip(centres, radii, strict=True):
        for start, end in _bundle_axes(centre, radius, rng):
            if residues and _nearer(residues[-1][-1], end, start):
                start, end = end, start
            helix = _helix_residues(start, end, rng)
            if residues:
                residues.append(_loop_residues(residues[-1][-1], helix[0], rng))
            residues.append(helix)
    if not residues:
        raise SettingsError(
            f"the domains, of {radii.max():.1f} Å radius at most, are too small for a helix; give "
            "a larger diameter or larger domains"
        )
    return np.vstack(residues)


def _bundle_axes(centre: Vectors, radius: float, rng: np.random.Generator) -> Vectors:
    """Return both ends of each helix of a twisted bundle that fills a sphere, (H, 2, 3)."""
    frame = Rotation.random(rng=rng).as_matrix()
    steps = np.arange(-8, 9)
    i, j = (g.ravel() for g in np.meshgrid(steps, steps))
    place = _HELIX_SPACING * np.stack([i + j / 2 + 0.31, j * np.sqrt(3) / 2 + 0.17], axis=1)
    place = place + rng.normal(0, 0.5, place.shape)
    free = (radius - _RADIUS) ** 2 - (place**2).sum(axis=1)
    kept = free > _SHORTEST_HELIX**2 / 4
    place, half = place[kept], np.sqrt(free[kept])
    order = np.lexsort((place[:, 0] * (1 - 2 * (j[kept] % 2)), j[kept]))  # rows in a zigzag
    place, half = place[order], half[order] * rng.uniform(0.75, 1.0, kept.sum())
    along = np.stack([-place[:, 1], place[:, 0], np.full(len(place), radius / _TWIST)], axis=1)
    along *= (half / np.linalg.norm(along, axis=1))[:, None]
    middle = np.pad(place, ((0, 0), (0, 1)))
    return np.asarray(centre + np.stack([middle - along, middle + along], axis=1) @ frame.T)


def _nearer(point: Vectors, one: Vectors, other: Vectors) -> bool:
    return float(np.linalg.norm(one - point)) < float(np.linalg.norm(other - point))


def _helix_residues(start: Vectors, end: Vectors, rng: np.random.Generator) -> Vectors:
    direction = end - start
    length = float(np.linalg.norm(direction))
    direction = direction / length
    side = np.cross(direction, rng.standard_normal(3))
    side /= np.linalg.norm(side)
    rise = np.arange(0, length, _RISE)[:, None]
    angle = rise / _RISE * _TURN + rng.uniform(0, 2 * np.pi)
    around = np.cos(angle) * side + np.sin(angle) * np.cross(direction, side)
    return np.asarray(start + rise * direction + _RADIUS * around)


def _loop_residues(start: Vectors, end: Vectors, rng: np.random.Generator) -> Vectors:
    count = max(2, int(np.linalg.norm(end - start) / _LOOP_SPACING))
    share = np.linspace(0, 1, count + 2)[1:-1, None]
    bulge = 4 * share * (1 - share) * rng.normal(0, 2.0, 3)
    return np.asarray(start + share * (end - start) + bulge)


def half_frequency(shape: tuple[int, ...], voxel_size: float) -> Vectors:
    """Return |k| in 1/Å for the half transform of `numpy.fft.rfftn`."""
    axes = [np.fft.fftfreq(n, voxel_size) for n in shape[:-1]]
    axes.append(np.fft.rfftfreq(shape[-1], voxel_size))
    grids = np.meshgrid(*axes, indexing="ij", sparse=True)
    return np.asarray(np.sqrt(sum(grid**2 for grid in grids)))


def low_pass(frequency: FloatArray, voxel_size: float, resolution: float | None = None) -> Float64:
    """Return a filter of 1 that falls to 0 over a soft edge at `resolution` (or Nyquist).

    Parameters
    ----------
    frequency : array
        1/Å.
    voxel_size, resolution : float
        Å.
    """
    cutoff = 1 / max(resolution or 0.0, 2 * voxel_size)
    edge = 0.05 * cutoff
    taper = np.clip((cutoff - frequency) / edge, 0, 1)
    return np.asarray(np.sin(np.pi / 2 * taper) ** 2)
