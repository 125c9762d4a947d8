"""Kernels of priors, rows of the fine pass and best poses, against slow and obvious versions."""

import dataclasses

import numpy as np
import pytest

from napari_ini3d.kernels.records import BestColumn, NullEvidence, PosePrior, Rows

IMAGES, SHIFTS, FINE_SHIFTS, CLASSES = 4, 3, 5, 2


@pytest.fixture
def rng():
    return np.random.default_rng(5)


def make_prior(rng, limit: float = 2.5) -> PosePrior:
    return PosePrior(
        start=rng.uniform(-1, 1, (IMAGES, 2)).astype(np.float32),
        shifts=rng.uniform(-2, 2, (SHIFTS, 2)).astype(np.float32),
        class_share=np.log([0.7, 0.3]).astype(np.float32),
        class_bias=rng.random((IMAGES, CLASSES), np.float32),
        sigma=1.5,
        limit=limit,
    )


def log_prior(prior: PosePrior, image: int, shift: np.ndarray, class_index: int) -> float:
    off = prior.start[image].astype(float) + shift
    value = -(off @ off) / (2 * prior.sigma**2) - 1e6 * (np.hypot(*off) > prior.limit)
    return value + prior.class_share[class_index] + prior.class_bias[image, class_index]


def make_rows(rng, count: tuple[int, ...] = (3, 1, 6, 2)) -> tuple[Rows, np.ndarray]:
    n = sum(count)
    columns = (
        np.repeat(np.arange(IMAGES), count),
        rng.integers(0, CLASSES, n),
        rng.integers(0, 40, n),
        rng.integers(0, SHIFTS, n),
        rng.integers(0, 80, n),
    )
    first = np.concatenate([[0], np.cumsum(count)])
    return Rows(*(column.astype(np.int32) for column in columns)), first


def test_the_coarse_prior_is_gaussian_in_the_shift_and_forbidden_beyond_the_limit(kernels, rng):
    prior = make_prior(rng)
    out = np.full((IMAGES, SHIFTS, CLASSES), np.nan, np.float32)
    kernels.coarse_log_prior(prior, out)
    for b, s, k in np.ndindex(out.shape):
        assert out[b, s, k] == pytest.approx(log_prior(prior, b, prior.shifts[s], k), rel=1e-5)
    assert (out < -1e5).any()
    assert (out > -1e5).any()


def test_the_fine_prior_is_added_to_the_scores_and_the_norm_subtracted(kernels, rng):
    prior, (rows, _) = make_prior(rng), make_rows(rng)
    fine_shifts = rng.uniform(-0.5, 0.5, (FINE_SHIFTS, 2)).astype(np.float32)
    scores = rng.standard_normal((len(rows.image), FINE_SHIFTS)).astype(np.float32)
    norm, found = rng.random(len(scores), np.float32), scores.copy()
    kernels.add_fine_log_prior(prior, rows, fine_shifts, norm, found)
    for n, t in np.ndindex(scores.shape):
        shift = prior.shifts[rows.shift[n]].astype(float) + fine_shifts[t]
        expected = log_prior(prior, rows.image[n], shift, rows.class_index[n])
        assert found[n, t] == pytest.approx(scores[n, t] - norm[n] + expected, rel=1e-5, abs=1e-5)


def test_coarse_best_poses_are_those_of_the_summary(kernels, rng):
    weights = rng.random((IMAGES, SHIFTS, CLASSES * 7)).astype(np.float32) ** 8
    summary = np.array([[0.5, 0.9, 3, 1], [1.5, 0.8, 7, 2], [2.5, 0.7, 13, 0], [3.5, 0.6, 0, 1]])
    best = np.full((IMAGES, len(BestColumn)), np.nan)
    per_rotation = kernels.coarse_best_poses(weights, summary, CLASSES, 0.3, best)
    assert np.allclose(per_rotation, weights.sum(1), rtol=1e-5)
    totals = weights.astype(float).sum(1)
    assert best[:, BestColumn.LOG_EVIDENCE].tolist() == [0.5, 1.5, 2.5, 3.5]
    assert best[:, BestColumn.BEST_PROBABILITY].tolist() == [0.9, 0.8, 0.7, 0.6]
    assert best[:, BestColumn.BEST_CLASS].tolist() == [0, 1, 1, 0]
    assert best[:, BestColumn.BEST_ROTATION].tolist() == [3, 0, 6, 0]
    assert best[:, BestColumn.BEST_SHIFT].tolist() == [1, 2, 0, 1]
    significant = [(t > 0.3 * t.max()).sum() for t in totals]
    assert best[:, BestColumn.N_SIGNIFICANT].tolist() == significant
    rest = [BestColumn.JUNK_PROBABILITY, BestColumn.OVERLAP, BestColumn.REFERENCE_POWER]
    assert not best[:, [BestColumn.BEST_FINE_SHIFT, *rest]].any()


@pytest.mark.parametrize("images", [1, 4, 50])
def test_rows_are_the_children_of_the_rotations_of_each_image(kernels, rng, images):
    most, n_rotations, children = 6, 10, 8
    rotation = rng.integers(0, CLASSES * n_rotations, (images, most)).astype(np.int32)
    shift = rng.integers(0, SHIFTS, (images, most)).astype(np.int32)
    count = rng.integers(1, most + 1, images).astype(np.int32)
    rows, first = kernels.list_rows(rotation, shift, count, n_rotations, children)
    expected = [
        (
            b,
            rotation[b, j] // n_rotations,
            rotation[b, j] % n_rotations * children + child,
            shift[b, j],
            rotation[b, j] * children + child,
        )
        for b in range(images)
        for j in range(count[b])
        for child in range(children)
    ]
    assert list(zip(*dataclasses.astuple(rows), strict=True)) == expected
    assert first.tolist() == [0, *np.cumsum(children * count)]


def make_fine_problem(rng):
    """A posterior of the rows of each image, its summary, and the largest weight of each row."""
    rows, first = make_rows(rng)
    posterior = rng.random((len(rows.image), FINE_SHIFTS)).astype(np.float32) ** 6
    summary = np.empty((IMAGES, 5))
    for b in range(IMAGES):
        mine = posterior[first[b] : first[b + 1]]
        mine /= mine.sum()
        row, shift = np.unravel_index(mine.argmax(), mine.shape)
        significant = (mine.max(1) > 0.4 * mine.max()).sum()
        summary[b] = (0.5 * b, mine.max(), first[b] + row, shift, significant)
    return rows, first, posterior, summary


def make_null(rng) -> NullEvidence:
    return NullEvidence(
        ball=np.array([-3.0, 0.0, 5.0, -800.0]),
        excess=rng.uniform(0.2, 3, (IMAGES, 6)).astype(np.float32),
        count=np.arange(6.0),
        limit=np.full(6, 2.0),
        log_odds=-2.0,
    )


def test_fine_best_poses_have_the_probability_of_junk_and_what_the_scale_follows_from(kernels, rng):
    prior = make_prior(rng, limit=100.0)
    rows, _, _, summary = make_fine_problem(rng)
    fine_shifts = rng.uniform(-0.5, 0.5, (FINE_SHIFTS, 2)).astype(np.float32)
    norm = rng.uniform(1, 9, len(rows.image)).astype(np.float32)
    scale, null = np.array([1, 0.5, 2, 1.5], np.float32), make_null(rng)
    best = np.full((IMAGES, len(BestColumn)), np.nan)
    count = kernels.fine_best_poses(summary, norm, rows, prior, fine_shifts, scale, null, 1.5, best)
    assert count.tolist() == summary[:, 4].tolist()
    for b, (evidence, probability, row, fine_shift, significant) in enumerate(summary):
        n, t = int(row), int(fine_shift)
        columns = (rows.class_index[n], rows.rotation[n], rows.shift[n], t)
        assert best[b, :7].tolist() == [evidence, probability, significant, *columns]
        power = sum(
            c * (e - 1 - np.log(e))
            for e, c in zip(null.excess[b].astype(float), null.count, strict=True)
            if e > 2
        )
        featureless = np.log((1 + np.exp(null.ball[b])) / 2)
        odds = np.exp(max(featureless, power) - (evidence + 1.5) + null.log_odds)
        assert best[b, BestColumn.JUNK_PROBABILITY] == pytest.approx(odds / (1 + odds), rel=1e-5)
        shift = prior.shifts[rows.shift[n]].astype(float) + fine_shifts[t]
        of_best = evidence + np.log(probability) - log_prior(prior, b, shift, rows.class_index[n])
        overlap = (of_best + norm[n]) / scale[b]
        assert best[b, BestColumn.OVERLAP] == pytest.approx(overlap, rel=1e-5)
        power = 2 * norm[n] / scale[b] ** 2
        assert best[b, BestColumn.REFERENCE_POWER] == pytest.approx(power, rel=1e-5)


def test_overwhelming_evidence_is_no_overflow(kernels, rng):
    prior, (rows, _, _, summary) = make_prior(rng), make_fine_problem(rng)
    summary[:, 0] = [1e6, -1e6, 0, 0]
    null = dataclasses.replace(
        make_null(rng), ball=np.array([0, 0, 1e6, -1e6]), excess=np.ones((IMAGES, 6), np.float32)
    )
    null.excess[3] = 1e9
    best, ones = np.empty((IMAGES, len(BestColumn))), np.ones(IMAGES, np.float32)
    fine_shifts, norm = np.zeros((FINE_SHIFTS, 2), np.float32), np.ones(12, np.float32)
    kernels.fine_best_poses(summary, norm, rows, prior, fine_shifts, ones, null, 0.0, best)
    junk = best[:, BestColumn.JUNK_PROBABILITY]
    assert junk == pytest.approx([0, 1, 1, 1], abs=1e-12)


def test_rows_of_weight_are_kept_in_order_and_sum_to_the_probability_of_a_particle(kernels, rng):
    rows, first, posterior, summary = make_fine_problem(rng)
    best = np.zeros((IMAGES, len(BestColumn)))
    best[:, BestColumn.BEST_PROBABILITY] = summary[:, 1].astype(np.float32)
    best[:, BestColumn.JUNK_PROBABILITY] = junk = np.array([0, 0.25, 0.5, 1])
    row_max, count = posterior.max(1), summary[:, 4].astype(np.int32)
    kept, weight, total = kernels.keep_rows(posterior, row_max, first, rows, 0.4, best, count)
    wanted = [n for n, b in enumerate(rows.image) if row_max[n] > 0.4 * np.float32(summary[b, 1])]
    assert 4 < len(wanted) < len(row_max)
    for found, given in zip(dataclasses.astuple(kept), dataclasses.astuple(rows), strict=True):
        assert found.tolist() == given[wanted].tolist()
    for b in range(IMAGES):
        mine = [n for n in wanted if rows.image[n] == b]
        expected = posterior[mine].astype(float)
        expected *= (1 - junk[b]) / expected.sum()
        assert np.allclose(weight[kept.image == b], expected, rtol=1e-5)
    assert np.allclose(total, weight.sum(1), rtol=1e-5)


def test_rows_are_weighted_by_coarse_shift_and_image(kernels, rng):
    def noise(*shape):
        return (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)).astype(np.complex64)

    rows, _ = make_rows(rng)
    n = len(rows.image)
    given, images, phase = noise(n, 9), noise(IMAGES, 9), noise(SHIFTS, 9)
    total, ctf2 = rng.random(n, np.float32), rng.random((IMAGES, 9), np.float32)
    numerator, denominator = given.copy(), np.full((n, 9), np.nan, np.float32)
    kernels.weigh_rows(rows, total, images, phase, ctf2, numerator, denominator)
    for i, p in np.ndindex(n, 9):
        value = given[i, p] * phase[rows.shift[i], p] * images[rows.image[i], p]
        assert numerator[i, p] == pytest.approx(value, rel=1e-4)
        assert denominator[i, p] == pytest.approx(total[i] * ctf2[rows.image[i], p], rel=1e-5)


@pytest.mark.parametrize("n_rows", [1, 256, 700])
def test_explained_power_is_what_the_slices_lower_the_residual_by(kernels, rng, n_rows):
    def noise(*shape):
        return (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)).astype(np.complex64)

    slices, numerator = noise(20, 5), noise(n_rows, 5)
    row_slice = rng.integers(0, 20, n_rows).astype(np.int32)
    denominator = rng.random((n_rows, 5), np.float32)
    found = kernels.explained_power(slices, row_slice, numerator, denominator)
    expected = np.zeros(5)
    for n in range(n_rows):
        a = slices[row_slice[n]].astype(complex)
        expected += 2 * (a.conj() * numerator[n]).real - denominator[n] * np.abs(a) ** 2
    assert np.allclose(found, expected, rtol=1e-5, atol=1e-3)
