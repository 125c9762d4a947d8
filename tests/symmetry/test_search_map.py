import numpy as np
from scipy.spatial.transform import Rotation
from symmetry_phantoms import known_map

from napari_ini3d.symmetry.particle_extent import find_particle_extent
from napari_ini3d.symmetry.search_map import SearchMap, search_weight


def working_map(**changes):
    known = known_map("D2", **changes)
    return SearchMap.of(known.volume, find_particle_extent(known.volume), 2.5), known


def direct_sum(working, known, frequencies):
    """Return the transform of the cut-out map, without its mask, at frequencies in shells."""
    n, side = len(known.volume), int(working.side)
    low = (working.offset[::-1] + n // 2 - side // 2).astype(int)
    padded = np.pad(known.volume, side)
    cut = padded[tuple(slice(start + side, start + 2 * side) for start in low)]
    line = np.arange(side) - side // 2
    waves = [np.exp(-2j * np.pi * np.outer(k, line) / side) for k in frequencies.T]  # x, y, z
    return np.einsum("kx,ky,kz,zyx->k", *waves, cut, optimize=True) / side**2


def relative_error(values, truth):
    return np.linalg.norm(values - truth) / np.linalg.norm(truth)


def test_the_transform_at_the_points_is_that_of_the_map():
    """The soft mask changes little of a particle that it holds."""
    working, known = working_map()
    chosen = np.random.default_rng(1).choice(np.flatnonzero(working.shell <= 8), 100)
    truth = direct_sum(working, known, working.points[chosen].astype(float))
    assert relative_error(working.values[chosen], truth) < 0.02


def test_the_transform_is_read_at_any_frequency():
    working, known = working_map()
    rng = np.random.default_rng(2)
    frequencies = rng.uniform(-4, 4, (100, 3)).astype(np.float32)
    rotation = Rotation.random(rng=rng).as_matrix()
    truth = direct_sum(working, known, frequencies.astype(float) @ rotation)
    assert relative_error(working.read(rotation[None], frequencies)[0], truth) < 0.04


def test_points_are_sorted_by_shell():
    working, _ = working_map()
    assert (np.diff(working.shell) >= 0).all()
    assert working.shell[-1] == working.max_shell


def test_the_share_of_signal_is_what_is_known_of_it():
    clean, _ = working_map()
    noisy, _ = working_map(noise=2.0)
    truth = clean.power / np.maximum(noisy.power, 1e-30)
    shells = slice(3, int(noisy.side * 3.0 / 12))  # where the phantom has power
    np.testing.assert_allclose(noisy.share[shells], truth[shells], atol=0.2)
    assert noisy.share[2] > 0.9


def test_shells_of_noise_have_no_weight():
    noisy, _ = working_map(noise=3.0, resolution=20.0)
    weight = search_weight(noisy, noisy.max_shell)
    whitened = weight * noisy.power
    assert whitened[-4:].max() < 0.3 * whitened[3]
    assert weight[0] == weight[1] == 0


def test_a_particle_near_the_border_is_cut_out_with_nothing_beyond():
    known = known_map("C2", box_size=32)
    volume = np.roll(known.volume, 6, axis=2)
    working = SearchMap.of(volume, find_particle_extent(volume), 2.5)
    assert np.isfinite(working.cube).all()
    assert 0.55 < working.diameter < 1 / 1.3
