"""A small problem for the expectation: references, and images of them, as dense as can be."""

import numpy as np
import oracles

from napari_ini3d.engine.expectation.coarse import coarse_posterior, coarse_sums
from napari_ini3d.engine.expectation.fine import fine_sums
from napari_ini3d.engine.images import Tile, WeightedImages
from napari_ini3d.engine.reference_set import (
    FineReferences,
    NullModel,
    PoseGrid,
    Pruning,
    ReferenceSet,
)
from napari_ini3d.engine.sums import TileSums
from napari_ini3d.fourier.transforms import frequency_disk
from napari_ini3d.geometry.sampling import grids_of_unit, random_rotation
from napari_ini3d.kernels.backend import choose_backend

BOX = 16
RADIUS = 5
SHELLS = BOX // 2 + 1
COARSE_RADIUS = 3
CLASSES = 2
IMAGES = 4
SHIFTS = np.array([[0, 0], [2, 0], [-1, 1.5]], np.float32)
FINE_SHIFTS = np.array([[0, 0], [0.5, 0], [0, -0.5]], np.float32)


def expect(references: ReferenceSet, tile: Tile) -> TileSums:
    """The sums of one tile for one model."""
    weighted = WeightedImages.of(tile, references.disk, references.backend)
    posterior = coarse_posterior(references, tile, weighted)
    if references.fine is None:
        return coarse_sums(references, tile, weighted, posterior)
    return fine_sums(references, references.fine, tile, weighted, posterior)


def waves(shifts: np.ndarray, disk) -> np.ndarray:
    found = [oracles.shift_wave(disk.kx, disk.ky, shift, BOX) for shift in shifts]
    return np.array(found, np.complex64)


def slices_of(cubes: np.ndarray, grid, disk, padding: int, n: int) -> np.ndarray:
    kx, ky = disk.kx[:n] * padding, disk.ky[:n] * padding
    found = [oracles.project(cube, grid.matrices, kx, ky) for cube in cubes]
    return np.concatenate(found).astype(np.complex64)


def make_references(
    *, two_pass: bool = False, padding: int = 1, table: bool = False
) -> ReferenceSet:
    rng = np.random.default_rng(5)
    disk, rotation = frequency_disk(BOX, RADIUS), random_rotation(rng)
    m = RADIUS * padding + 1
    cubes = np.stack([oracles.random_cube(rng, m) for _ in range(CLASSES)])
    grid, fine_grid = grids_of_unit(0, rotation, "C1")
    fine = None
    if two_pass:
        fine = FineReferences(
            grid=fine_grid,
            slices=slices_of(cubes, fine_grid, disk, padding, len(disk)) if table else None,
            shifts=FINE_SHIFTS,
            step_px=0.5,
            phase=waves(FINE_SHIFTS, disk),
        )
    n_coarse = disk.size_within(COARSE_RADIUS) if two_pass else len(disk)
    slices = slices_of(cubes, grid, disk, padding, n_coarse)
    return ReferenceSet(
        disk=disk,
        n_coarse=n_coarse,
        padding=padding,
        grid=grid,
        cubes=cubes,
        slices=slices,
        slice_power=np.abs(slices) ** 2,
        shifts=SHIFTS,
        shift_phase=waves(SHIFTS, disk),
        shift_step_px=2.0,
        null=make_null(slices, disk.shell[:n_coarse]),
        log_class_share=np.log(np.array([0.7, 0.3], np.float32)),
        sigma_offset_px=2.0,
        offset_limit_px=100.0,
        pruning=Pruning(
            rotation_weight=0.0, max_rotations=CLASSES * len(grid.matrices), pose_weight=0.0
        ),
        backend=choose_backend("cpu"),
        pose_grid=PoseGrid(
            (fine_grid if two_pass else grid).matrices,
            SHIFTS,
            FINE_SHIFTS if two_pass else np.zeros((1, 2), np.float32),
        ),
        fine=fine,
    )


def make_null(slices: np.ndarray, shell: np.ndarray) -> NullModel:
    """Return the null model of the slices (K·R, C) of all classes."""
    ball = np.zeros((CLASSES, len(shell)), np.float32)
    for k, of_class in enumerate(slices.reshape(CLASSES, -1, len(shell))):
        for s in np.unique(shell):
            ball[k, shell == s] = of_class[:, shell == s].real.mean()
    count = np.bincount(frequency_disk(BOX, RADIUS).shell, minlength=SHELLS).astype(float)
    return NullModel.of(ball, count, np.full(SHELLS, 2.0))


def make_tile(references: ReferenceSet, noise: float = 3.0) -> Tile:
    """Return images of the references' slices, shifted, with noise."""
    rng = np.random.default_rng(6)
    p = len(references.disk)
    ctf = rng.uniform(-1, 1, (IMAGES, p)).astype(np.float32)
    rotations = oracles.random_matrices(rng, IMAGES)
    padded = references.disk.kx * references.padding, references.disk.ky * references.padding
    clean = [
        oracles.project(references.cubes[i % CLASSES], rotations[i : i + 1], *padded)[0]
        * oracles.shift_wave(references.disk.kx, references.disk.ky, -SHIFTS[i % 3], BOX)
        for i in range(IMAGES)
    ]
    parts = noise * rng.standard_normal((2, IMAGES, p))
    images = (np.array(clean) * ctf + parts[0] + 1j * parts[1]).astype(np.complex64)
    excess = rng.uniform(0.5, 2.2, (IMAGES, SHELLS)).astype(np.float32)  # the limit is 2
    return Tile(
        index=np.array([0, 2, 6, 8]),
        images=images,
        ctf=ctf,
        premultiplied=False,
        sigma2=rng.uniform(0.8, 1.2, SHELLS).astype(np.float32) * np.float32(noise**2),
        centre=np.array([[0, 0], [1, 0], [0, -2], [3, 1]], np.float32),
        from_expected=np.array([[0, 0], [1, 0], [0.5, -2], [0, 1]], np.float32),
        class_bias=np.zeros((IMAGES, CLASSES), np.float32),
        excess=excess,
        scale=np.array([1.0, 0.7, 1.4, 0.9], np.float32),
        shell_weight=np.minimum(1, 2 / excess) ** 2,
        image_power=power_of(images, references),
        half=0,
        group=0,
    )


def power_of(images: np.ndarray, references: ReferenceSet) -> np.ndarray:
    """Return the power of each shell of each image, (B, n_shells)."""
    shell = references.disk.shell
    power = [np.bincount(shell, np.abs(image) ** 2, SHELLS) for image in images]
    return np.array(power, np.float32)
