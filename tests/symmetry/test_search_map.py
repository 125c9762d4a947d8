import numpy as np
from scipy.spatial.transform import Rotation
from symmetry_phantoms import known_map

from napari_ini3d.symmetry.particle_extent import find_particle_extent
from napari_ini3d.symmetry.search_map import SearchMap, search_weight


def make_search_map(**changes):
    known = known_map("D2", **changes)
    return SearchMap.of(known.volume, find_particle_extent(known.volume), 2.5), known


def direct_sum(search_map, known, frequencies):
    """Return the transform of the cut-out map, without its mask, at frequencies in shells."""
    n, side = len(known.volume), int(search_map.side)
    low = (search_map.offset[::-1] + n // 2 - side // 2).astype(int)
    padded = np.pad(known.volume, side)
    cut = padded[tuple(slice(start + side, start + 2 * side) for start in low)]
    line = np.arange(side) - side // 2
    waves = [np.exp(-2j * np.pi * np.outer(k, line) / side) for k in frequencies.T]  # x, y, z
    return np.einsum("kx,ky,kz,zyx->k", *waves, cut, optimize=True) / side**2


def relative_error(values, truth):
    return np.linalg.norm(values - truth) / np.linalg.norm(truth)


def test_the_transform_at_the_points_is_that_of_the_map():
    """The soft mask changes little of a particle that it holds."""
    search_map, known = make_search_map()
    chosen = np.random.default_rng(1).choice(np.flatnonzero(search_map.ft.shell <= 8), 100)
    truth = direct_sum(search_map, known, search_map.ft.points[chosen].astype(float))
    assert relative_error(search_map.ft.values[chosen], truth) < 0.02


def test_the_transform_is_read_at_any_frequency():
    search_map, known = make_search_map()
    rng = np.random.default_rng(2)
    frequencies = rng.uniform(-4, 4, (100, 3)).astype(np.float32)
    rotation = Rotation.random(rng=rng).as_matrix()
    truth = direct_sum(search_map, known, frequencies.astype(float) @ rotation)
    assert relative_error(search_map.ft.read(rotation[None], frequencies)[0], truth) < 0.04


def test_points_are_sorted_by_shell():
    search_map, _ = make_search_map()
    assert (np.diff(search_map.ft.shell) >= 0).all()
    assert search_map.ft.shell[-1] == search_map.max_shell


def test_the_share_of_signal_is_that_of_the_phantom():
    clean, _ = make_search_map()
    noisy, _ = make_search_map(noise=2.0)
    truth = clean.ft.power / np.maximum(noisy.ft.power, 1e-30)
    shells = slice(3, int(noisy.side * 3.0 / 12))  # where the phantom has power
    np.testing.assert_allclose(noisy.share[shells], truth[shells], atol=0.2)
    assert noisy.share[2] > 0.9


def test_shells_of_noise_have_no_weight():
    noisy, _ = make_search_map(noise=3.0, resolution=20.0)
    weight = search_weight(noisy, noisy.max_shell)
    whitened = weight * noisy.ft.power
    assert whitened[-4:].max() < 0.3 * whitened[3]
    assert weight[0] == weight[1] == 0


def test_a_particle_near_the_border_is_cut_out_with_nothing_beyond():
    known = known_map("C2", box_size=32)
    volume = np.roll(known.volume, 6, axis=2)
    search_map = SearchMap.of(volume, find_particle_extent(volume), 2.5)
    assert np.isfinite(search_map.ft.cube).all()
    assert 0.55 < search_map.diameter < 1 / 1.3
