import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from napari_ini3d.errors import MapError, SettingsError
from napari_ini3d.fourier import radius_grid, soft_mask, solvent_mask
from napari_ini3d.simulation import make_phantom

N, VOXEL_SIZE = 64, 3.4
DIAMETER = 160.0
PHANTOM = make_phantom("C2", seed=4, diameter=110.0).density(N, VOXEL_SIZE, 8.0)
RADIUS = radius_grid(N, 3) * VOXEL_SIZE  # Å
SPHERE = soft_mask(N, DIAMETER / VOXEL_SIZE / 2, 8.0 / VOXEL_SIZE, 3)


def noise(level: float, seed: int = 0) -> np.ndarray:
    """White noise, relative to the dense parts of the phantom."""
    scale = level * np.percentile(PHANTOM, 99.9)
    return scale * np.random.default_rng(seed).standard_normal((N,) * 3)


def share(volume: np.ndarray, mask: np.ndarray) -> float:
    """Share of the positive density within a mask."""
    density = np.maximum(volume, 0)
    return float((density * mask).sum() / density.sum())


@pytest.mark.parametrize("level", [0.0, 0.2, 0.5])
@pytest.mark.parametrize("group", ["C1", "C2", "C4"])
def test_the_mask_keeps_the_particle_and_leaves_most_of_the_sphere_out(group, level):
    phantom = make_phantom(group, seed=3, diameter=110.0).density(N, VOXEL_SIZE, 8.0)
    particle = np.where(phantom > 0.05 * np.percentile(phantom, 99.9), phantom, 0)
    mask = solvent_mask(phantom + noise(level), VOXEL_SIZE, diameter=DIAMETER)
    assert mask.dtype == np.float32
    assert mask.shape == phantom.shape
    assert mask.min() == 0
    assert mask.max() == 1
    assert share(particle, mask) > 0.99
    assert mask.sum() < 0.5 * SPHERE.sum()


def test_a_weak_domain_is_kept():
    half = np.arange(N) < N // 2
    weak = PHANTOM * np.where(half, 1.0, 0.3)
    mask = solvent_mask(weak + noise(0.1), VOXEL_SIZE, diameter=DIAMETER)
    particle = np.where(0.05 * np.percentile(PHANTOM, 99.9) < PHANTOM, PHANTOM, 0)
    assert share(particle * ~half, mask) > 0.98


@pytest.mark.parametrize("sphere", [DIAMETER, None])
def test_a_part_of_a_neighbour_at_the_edge_is_left_out(sphere):
    blob = np.exp(-(((radius_grid(N, 3, (27.0, 0, 0)) * VOXEL_SIZE) / 14) ** 2))
    ghost = 0.5 * np.percentile(PHANTOM, 99.9) * blob
    seen = (PHANTOM + ghost) * (SPHERE if sphere else 1) + noise(0.1)
    mask = solvent_mask(seen, VOXEL_SIZE, diameter=sphere)
    assert share(ghost, mask) < 0.05
    assert share(np.where(PHANTOM > 0.03, PHANTOM, 0), mask) > 0.99


def test_the_inside_of_a_shell_with_channels_belongs_to_the_particle():
    z, y, x = (np.indices((N,) * 3) - N // 2) * VOXEL_SIZE
    shell = (RADIUS < 65) & (RADIUS > 42)
    for a, b in ((x, y), (y, z), (x, z)):
        shell &= a**2 + b**2 > 6**2
    mask = solvent_mask(gaussian_filter(shell * 1.0, 1.0) + 0.1 * noise(1.0), VOXEL_SIZE)
    assert (mask[RADIUS < 65] == 1).all()
    assert mask[RADIUS > 95].max() == 0


@pytest.mark.parametrize("voxel_size", [2.0, 4.0, 8.0])
@pytest.mark.parametrize("non_negative", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_noise_alone_gives_the_sphere(voxel_size, non_negative, seed):
    seen = noise(1.0, seed)
    diameter = 50 * voxel_size
    mask = solvent_mask(
        np.maximum(seen, 0) if non_negative else seen, voxel_size, diameter=diameter
    )
    assert np.array_equal(mask, soft_mask(N, 25.0, max(8.0 / voxel_size, 2.0), 3))


@pytest.mark.parametrize("value", [0.0, 3.0, np.nan])
def test_a_map_without_density_gives_the_sphere(value):
    mask = solvent_mask(np.full((N,) * 3, value), VOXEL_SIZE, diameter=DIAMETER)
    assert np.array_equal(mask, SPHERE)


def test_a_sphere_larger_than_the_box_is_cut_to_the_box():
    empty = np.zeros((N,) * 3)
    assert np.array_equal(
        solvent_mask(empty, VOXEL_SIZE, diameter=1000.0), solvent_mask(empty, VOXEL_SIZE)
    )


def test_the_mask_depends_neither_on_the_scale_nor_on_the_offset_of_the_map():
    seen = PHANTOM + noise(0.1)
    first = solvent_mask(seen, VOXEL_SIZE, diameter=DIAMETER)
    second = solvent_mask(1e3 * seen - 70, VOXEL_SIZE, diameter=DIAMETER)
    assert np.abs(first - second).mean() < 1e-3


@pytest.mark.parametrize("n", [41, 42])
def test_dilation_and_edge_are_in_angstroms(n):
    ball = (radius_grid(n, 3) < 8).astype(float)
    r = radius_grid(n, 3)
    near = solvent_mask(ball, 4.0, dilation=12.0, edge=12.0)
    far = solvent_mask(ball, 4.0, dilation=24.0, edge=12.0)
    reach = [float(r[mask == 1].max()) for mask in (near, far)]
    assert reach[1] - reach[0] == pytest.approx(3.0, abs=0.5)
    assert r[near > 0].max() - reach[0] == pytest.approx(3.0, abs=0.7)


@pytest.mark.parametrize("options", [{"diameter": 0.0}, {"edge": -1.0}, {"voxel_size": np.nan}])
def test_lengths_that_cannot_be_true_are_refused(options):
    with pytest.raises(SettingsError, match="must be positive"):
        solvent_mask(PHANTOM, **({"voxel_size": VOXEL_SIZE} | options))


def test_a_map_that_is_no_cube_is_refused():
    with pytest.raises(MapError, match="cube"):
        solvent_mask(PHANTOM[:40], VOXEL_SIZE)
