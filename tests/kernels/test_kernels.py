import itertools

import numpy as np
import oracles
import pytest

from napari_ini3d.fourier.transforms import frequency_disk
from napari_ini3d.geometry.point_groups import symmetry_operators
from napari_ini3d.kernels.cpu.posterior import _exp_row

BOX = 24
ROTATIONS = {
    "identity": np.eye(3),
    "180 degrees about y (every x < 0)": np.diag([-1.0, 1, -1]),
    "x onto z": np.array([[0.0, 0, 1], [0, 1, 0], [-1, 0, 0]]),
    "x onto -z": np.array([[0.0, 0, -1], [0, 1, 0], [1, 0, 0]]),
    "y onto x": np.array([[0.0, 1, 0], [-1, 0, 0], [0, 0, 1]]),
}


@pytest.fixture
def rng():
    return np.random.default_rng(3)


def complex_noise(rng: np.random.Generator, *shape: int) -> np.ndarray:
    parts = rng.standard_normal((2, *shape))
    return (parts[0] + 1j * parts[1]).astype(np.complex64)


def frequencies(radius: int, padding: int) -> tuple[np.ndarray, np.ndarray, int]:
    disk = frequency_disk(BOX, radius)
    return disk.kx * np.float32(padding), disk.ky * np.float32(padding), radius * padding + 1


def project(kernels, cube, matrices, kx, ky):
    out = np.empty((len(matrices), len(kx)), np.complex64)
    kernels.project(cube, matrices, kx, ky, out)
    return out


def backproject(kernels, values, weights, matrices, kx, ky, m):
    numerator = np.zeros((2 * m + 1, 2 * m + 1, m + 2), np.complex64)
    denominator = np.zeros(numerator.shape, np.float32)
    kernels.backproject(values, weights, matrices, kx, ky, numerator, denominator)
    return numerator, denominator


@pytest.mark.parametrize("padding", [1, 2])
def test_projections_are_interpolated_from_the_whole_cube(kernels, rng, padding):
    kx, ky, m = frequencies(6, padding)
    cube, matrices = oracles.random_cube(rng, m), oracles.random_matrices(rng, 20)
    found = project(kernels, cube, matrices, kx, ky)
    assert np.allclose(found, oracles.project(cube, matrices, kx, ky), atol=2e-5)


@pytest.mark.parametrize("name", ROTATIONS)
def test_projections_along_the_axes_are_single_voxels(kernels, rng, name):
    kx, ky, m = frequencies(6, 1)
    cube, matrix = oracles.random_cube(rng, m), ROTATIONS[name]
    x, y, z = np.rint(oracles.points_of(matrix[None], kx, ky)[0]).astype(int).T
    expected = oracles.full_cube(cube)[z + m, y + m, x + m + 1]
    found = project(kernels, cube, matrix[None].astype(np.float32), kx, ky)[0]
    assert np.allclose(found, expected, atol=1e-5)


def test_frequencies_at_the_edge_stay_inside_the_cube(kernels, rng):
    radius = 11
    line = np.array([radius, 0, 0], np.float32), np.array([0, radius, -radius], np.float32)
    m = radius + 1
    cube = np.zeros((2 * m + 1, 2 * m + 1, m + 2), np.complex64)
    cube[oracles.half_cube(np.ones((2 * m + 1, 2 * m + 1, 2 * m + 3))) > 0] = 1
    matrices = np.concatenate(
        [oracles.random_matrices(rng, 2000), symmetry_operators("O").astype(np.float32)]
    )
    assert np.allclose(project(kernels, cube, matrices, *line), 1, atol=1e-5)
    values = np.ones((len(matrices), 3), np.complex64)
    _, weight = backproject(kernels, values, values.real.copy(), matrices, *line, m)
    assert weight.sum(dtype=float) == pytest.approx(3 * len(matrices), rel=1e-5)


@pytest.mark.parametrize("padding", [1, 2])
def test_backprojection_equals_that_into_a_whole_cube(kernels, rng, padding):
    kx, ky, m = frequencies(6, padding)
    matrices = oracles.random_matrices(rng, 20)
    values = complex_noise(rng, 20, len(kx))
    weights = rng.uniform(0.5, 2, values.shape).astype(np.float32)
    numerator, denominator = backproject(kernels, values, weights, matrices, kx, ky, m)
    for found, given in ((numerator, values), (denominator, weights + 0j)):
        whole = found.copy()
        whole[:, :, 0] += found[::-1, ::-1, 0].conj()
        expected = oracles.half_cube(oracles.backproject(given, matrices, kx, ky, m))
        assert np.allclose(whole, expected, atol=1e-4)


@pytest.mark.parametrize("padding", [1, 2])
def test_backprojection_is_the_transpose_of_projection(kernels, rng, padding):
    kx, ky, m = frequencies(6, padding)
    matrices = oracles.random_matrices(rng, 20)
    cube = complex_noise(rng, 2 * m + 1, 2 * m + 1, m + 2)
    values = complex_noise(rng, 20, len(kx))
    ones = np.ones(values.shape, np.float32)
    backprojected, _ = backproject(kernels, values, ones, matrices, kx, ky, m)
    sliced = np.vdot(project(kernels, cube, matrices, kx, ky).astype(complex), values).real
    assert sliced == pytest.approx(np.vdot(cube.astype(complex), backprojected).real, rel=1e-5)


def test_backprojection_adds_to_the_cube_and_weight_zero_adds_nothing(kernels, rng):
    kx, ky, m = frequencies(4, 1)
    matrices, values = oracles.random_matrices(rng, 3), complex_noise(rng, 3, len(kx))
    weights = np.ones(values.shape, np.float32)
    once, _ = backproject(kernels, values, weights, matrices, kx, ky, m)
    twice, denominator = once.copy(), np.zeros(once.shape, np.float32)
    kernels.backproject(values, weights, matrices, kx, ky, twice, denominator)
    assert np.allclose(twice, 2 * once, atol=1e-5)
    untouched = twice.copy()
    kernels.backproject(values, 0 * weights, matrices, kx, ky, twice, denominator)
    assert np.array_equal(twice, untouched)


@pytest.mark.parametrize("group", ["C1", "C4", "D3", "T"])
def test_symmetrising_sums_the_cube_over_the_operators(kernels, rng, group):
    m = 7
    cube = oracles.random_cube(rng, m)
    weight = np.abs(oracles.random_cube(rng, m)).astype(np.float32)
    operators = symmetry_operators(group).astype(np.float32)
    numerator, denominator = np.zeros_like(cube), np.zeros_like(weight)
    kernels.symmetrise(cube, weight, operators, numerator, denominator)
    scale = len(operators)
    assert np.allclose(numerator, oracles.symmetrise(cube, operators), atol=3e-5 * scale)
    expected = oracles.symmetrise(weight + 0j, operators)
    assert np.allclose(denominator, expected, atol=3e-5 * scale)


def posterior_inputs(rng, spread: float, images=3, shifts=4, block=35, classes=2):
    scores = (spread * rng.standard_normal((images, shifts, block * classes))).astype(np.float32)
    norm = (spread * rng.random((images, block * classes))).astype(np.float32)
    log_prior = rng.standard_normal((images, shifts, classes)).astype(np.float32)
    return scores, norm, log_prior


@pytest.mark.parametrize("spread", [0.0, 1.0, 5.0, 300.0])
def test_the_posterior_is_a_softmax(kernels, rng, spread):
    scores, norm, log_prior = posterior_inputs(rng, spread)
    weights, evidence = oracles.dense_posterior(scores, norm, log_prior)
    summary = np.empty((len(scores), 4))
    kernels.dense_posterior(scores, norm, log_prior, summary)
    assert np.allclose(scores, weights, atol=3e-5 * max(spread / 5, 1) * weights.max() + 3e-9)
    assert np.allclose(scores.sum((1, 2), dtype=float), 1, atol=1e-5)
    assert np.allclose(summary[:, 0], evidence, rtol=1e-6, atol=1e-4)
    flat = weights.reshape(len(weights), -1)
    assert np.allclose(summary[:, 1], flat.max(1), rtol=1e-3)
    best = scores[np.arange(len(scores)), summary[:, 3].astype(int), summary[:, 2].astype(int)]
    assert np.array_equal(best, scores.max((1, 2)))


def test_very_negative_scores_give_weights_that_sum_to_one(kernels, rng):
    scores, norm, log_prior = posterior_inputs(rng, 1.0)
    scores -= np.float32(1e9)
    scores[1, 2, 3] = 0
    summary = np.empty((len(scores), 4))
    kernels.dense_posterior(scores, norm, log_prior, summary)
    assert np.allclose(scores.sum((1, 2), dtype=float), 1, atol=1e-5)
    assert scores[1, 2, 3] == 1
    assert tuple(summary[1, 1:]) == (1.0, 3.0, 2.0)


def test_of_equal_poses_the_first_shift_and_rotation_are_the_best(kernels):
    scores = np.zeros((1, 3, 10), np.float32)
    summary = np.empty((1, 4))
    kernels.dense_posterior(
        scores, np.zeros((1, 10), np.float32), np.zeros((1, 3, 1), np.float32), summary
    )
    assert np.allclose(scores, 1 / 30)
    assert summary[0, 0] == pytest.approx(np.log(30))
    assert tuple(summary[0, 2:]) == (0, 0)


def test_the_fast_exponential_is_exact_to_single_precision():
    x = -np.linspace(0, 19.99, 4001, dtype=np.float32)
    x = np.concatenate([x, np.array([-20.0, -30, -80, -500, -1e30], np.float32)])
    out = np.empty_like(x)
    _exp_row(x, np.empty(len(x), np.int32), out)
    expected = np.exp(x[:4001].astype(float))
    assert out[0] == 1
    assert np.abs(out[:4001] / expected - 1).max() < 2e-6
    assert (out[4001:] == 0).all()


def find_significant(kernels, weights, share, most):
    rotation, shift = np.full((2, len(weights), most), -1, np.int32)
    count = np.empty(len(weights), np.int32)
    kernels.significant_rotations(weights, share, most, rotation, shift, count)
    return [
        list(zip(r[:c].tolist(), s[:c].tolist(), strict=True))
        for r, s, c in zip(rotation, shift, count, strict=True)
    ]


@pytest.mark.parametrize(("share", "most"), [(0.0, 50), (0.3, 50), (0.3, 4), (1.0, 50)])
def test_significant_rotations_are_the_heaviest(kernels, rng, share, most):
    weights = rng.random((5, 3, 50)).astype(np.float32) ** 4
    expected = oracles.significant_rotations(weights, share, most)
    assert find_significant(kernels, weights, share, most) == expected


def test_of_equal_rotations_the_first_are_kept(kernels):
    weights = np.full((2, 3, 20), 1 / 60, np.float32)
    assert find_significant(kernels, weights, 0.5, 4) == [[(r, 0) for r in range(4)]] * 2


def test_products_and_norms_are_those_of_the_rows(kernels, rng):
    slices, images, phases = (complex_noise(rng, n, 37) for n in (5, 4, 3))
    ctf2 = rng.random((4, 37)).astype(np.float32)
    rows = tuple(rng.integers(0, n, 30).astype(np.int32) for n in (5, 4, 3))
    out, norm = np.empty((30, 37), np.complex64), np.empty(30, np.float32)
    kernels.conjugate_products(slices, *rows, images, phases, ctf2, out, norm)
    products, norms = oracles.conjugate_products(slices, rows, images, phases, ctf2)
    assert np.allclose(out, products, atol=1e-5)
    assert np.allclose(norm, norms, rtol=1e-5)


def test_kernels_give_the_same_bits_twice(kernels, rng):
    kx, ky, m = frequencies(6, 2)
    cube, matrices = oracles.random_cube(rng, m), oracles.random_matrices(rng, 30)
    slices = project(kernels, cube, matrices, kx, ky)
    assert np.array_equal(slices, project(kernels, cube, matrices, kx, ky))
    weights = rng.random(slices.shape, dtype=np.float32)
    first, again = (backproject(kernels, slices, weights, matrices, kx, ky, m) for _ in range(2))
    assert np.array_equal(first[0], again[0])
    assert np.array_equal(first[1], again[1])
    scores, norm, log_prior = posterior_inputs(rng, 3.0)
    other, summary = scores.copy(), np.empty((2, len(scores), 4))
    kernels.dense_posterior(scores, norm, log_prior, summary[0])
    kernels.dense_posterior(other, norm, log_prior, summary[1])
    assert np.array_equal(scores, other)
    assert np.array_equal(summary[0], summary[1])


def fine_inputs(rng, spread: float, shifts: int = 5):
    rows = np.array([3, 1, 7, 40])
    first = np.concatenate([[0], np.cumsum(rows)])
    scores = (spread * rng.standard_normal((first[-1], shifts))).astype(np.float32)
    return scores - np.float32(100), first


@pytest.mark.parametrize("spread", [0.0, 1.0, 10.0, 300.0])
def test_the_fine_posterior_is_a_softmax_of_each_image(kernels, rng, spread):
    scores, first = fine_inputs(rng, spread)
    weights, row_max, summary = scores.copy(), np.empty(len(scores), np.float32), np.empty((4, 5))
    kernels.fine_posterior(weights, first, 0.1, row_max, summary)
    assert np.array_equal(row_max, weights.max(1))
    for image, (low, high) in enumerate(itertools.pairwise(first)):
        log = scores[low:high].astype(float)
        expected = np.exp(log - log.max())
        total = expected.sum()
        assert np.allclose(weights[low:high], expected / total, atol=3e-6)
        evidence, best, row, shift, significant = summary[image]
        assert evidence == pytest.approx(log.max() + np.log(total), abs=1e-4)
        assert best == pytest.approx(1 / total, rel=1e-5)
        assert (row - low, shift) == np.unravel_index(log.argmax(), log.shape)
        assert significant == (expected.max(1) > 0.1).sum()


def test_values_are_summed_by_group_and_a_group_can_be_empty(kernels, rng):
    group = np.array([2, 0, 2, 2, 4, 0], np.int32)
    values, out = rng.standard_normal(6), np.full(6, np.nan)
    kernels.bincount_sum(group, values, out)
    assert np.allclose(out, [values[group == g].sum() for g in range(6)], atol=1e-14)


def test_a_product_is_written_to_out(kernels, rng):
    a, b = (rng.standard_normal(shape).astype(np.float32) for shape in ((3, 4), (4, 5)))
    out = np.empty((3, 5), np.float32)
    assert np.array_equal(kernels.matmul(a, b), kernels.matmul(a, b, out))
    assert np.allclose(out, a.astype(float) @ b, atol=1e-6)
