import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from napari_ini3d.fourier.fourier_map import FourierMap, components_at, cut_out, half_ball
from napari_ini3d.fourier.masks import soft_mask
from napari_ini3d.simulation import make_phantom

N, LAST = 32, 12
VOLUME = make_phantom("C1", diameter=60.0, seed=2).density(N, 4.0, 10.0).astype(np.float32)
VOLUME *= soft_mask(N, 10, 3, 3)


def direct_sum(volume, frequencies):
    """The Fourier sum of a map about voxel n // 2, at any frequencies (x, y, z) in shells."""
    n = len(volume)
    line = np.arange(n) - n // 2
    waves = [np.exp(-2j * np.pi * np.outer(k, line) / n) for k in frequencies.T]  # x, y, z
    return np.einsum("kx,ky,kz,zyx->k", *waves, volume, optimize=True) / n**2


def relative_error(values, truth):
    return np.linalg.norm(values - truth) / np.linalg.norm(truth)


def test_values_at_the_points_are_exact():
    ft = FourierMap.of(VOLUME, LAST)
    assert relative_error(ft.values, direct_sum(VOLUME, ft.points.astype(float))) < 1e-5


def test_any_frequency_is_read_to_a_few_percent():
    ft = FourierMap.of(VOLUME, LAST)
    rng = np.random.default_rng(2)
    frequencies = rng.uniform(-4, 4, (100, 3))
    rotations = Rotation.random(2, rng=rng).as_matrix()
    found = ft.read(rotations, frequencies)  # (2, 100)
    truth = [direct_sum(VOLUME, frequencies @ rotation) for rotation in rotations]
    assert relative_error(found, np.array(truth)) < 0.02


def test_the_farthest_points_are_read_within_the_cube():
    ft = FourierMap.of(VOLUME, LAST)
    rotations = Rotation.random(50, rng=np.random.default_rng(0)).as_matrix()
    assert np.isfinite(ft.read(rotations, ft.points)).all()


def test_points_come_shell_by_shell_with_one_of_each_pair():
    ft = FourierMap.of(VOLUME, LAST)
    assert (np.diff(ft.shell) >= 0).all()
    assert ft.max_shell == ft.shell[-1] == LAST
    assert ft.count_within(3) == (ft.shell <= 3).sum()
    np.testing.assert_array_equal(np.rint(np.linalg.norm(ft.points, axis=1)), ft.shell)
    points = {tuple(point) for point in ft.points.astype(int).tolist()}
    assert not points & {(-x, -y, -z) for x, y, z in points}


def test_power_is_the_mean_of_each_shell():
    ft = FourierMap.of(VOLUME, LAST)
    for shell in range(1, LAST + 1):
        expected = (np.abs(ft.values[ft.shell == shell]) ** 2).mean()
        assert ft.power[shell] == pytest.approx(expected, rel=1e-5)


def test_components_of_a_shifted_map_have_a_phase_ramp():
    points, _ = half_ball(6)
    shifted = np.roll(VOLUME, 2, axis=2)  # by two voxels along x
    ramp = np.exp(-2j * np.pi * points[:, 0] * 2 / N)
    assert (
        relative_error(components_at(shifted, points), components_at(VOLUME, points) * ramp) < 1e-5
    )


def test_a_box_is_cut_out_about_its_middle_with_0_beyond_the_map():
    volume = np.zeros((8, 8, 8), np.float32)
    volume[5, 4, 7] = 3.0  # x, y, z = 3, 0, 1 from voxel 4
    part = cut_out(volume, np.array([3, 0, 1]), 6)
    assert part.shape == (6, 6, 6)
    assert part[3, 3, 3] == 3.0
    assert part.sum() == 3.0
    ones = cut_out(np.ones((8, 8, 8), np.float32), np.array([3, 0, 0]), 6)
    np.testing.assert_array_equal(ones[0, 0], [1, 1, 1, 1, 0, 0])
