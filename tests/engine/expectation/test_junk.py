import dataclasses

import numpy as np
import oracles
import pytest
from expectation_problem import (
    BOX,
    CLASSES,
    IMAGES,
    SHELLS,
    expect,
    make_references,
    make_tile,
)

from napari_ini3d.engine.expectation.junk import (
    ball_log_evidence,
    contaminant_log_evidence,
    junk_probability,
    particle_log_evidence,
    shift_normalisation,
)
from napari_ini3d.engine.images import WeightedImages
from napari_ini3d.engine.references import ReferenceSet


def ball_of(references: ReferenceSet, tile) -> np.ndarray:
    weighted = WeightedImages.of(tile, references.disk)
    c = references.n_coarse
    shifted = weighted.images[:, None, :c] * references.shift_phase[None, :, :c]
    return ball_log_evidence(references, tile, shifted, weighted.ctf2[:, :c])


@pytest.mark.parametrize("two_pass", [False, True])
def test_the_evidence_of_a_ball_is_the_sum_over_its_shifts(two_pass):
    references = make_references(two_pass=two_pass)
    rng = np.random.default_rng(1)
    ball = rng.normal(0, 2, references.null.ball.shape).astype(np.float32)
    null = dataclasses.replace(references.null, ball=ball)
    references = dataclasses.replace(references, null=null)
    bias = np.array([[0, 0], [2, 0], [0, 3], [-1, 1]], np.float32)
    tile = dataclasses.replace(make_tile(references), class_bias=bias)
    expected = [oracles.ball_log_evidence(references, tile, b, BOX) for b in range(IMAGES)]
    assert np.ptp(expected) > 1
    assert np.allclose(ball_of(references, tile), expected, atol=2e-3)


def test_the_prior_of_shifts_on_a_fine_grid_integrates_to_one():
    references = make_references()
    step = 0.25
    line = np.arange(-12, 12, step)
    x, y = np.meshgrid(line, line)
    prior = np.exp(-(x**2 + y**2) / 2 / references.sigma_offset_px**2)
    assert prior.sum() * np.exp(shift_normalisation(references, step)) == pytest.approx(1)


def test_the_evidence_of_a_particle_is_a_mean_over_rotations_and_an_integral_over_shifts():
    references = make_references(two_pass=True)
    fine = references.fine
    assert fine is not None
    n, sigma = len(fine.grid.matrices), references.sigma_offset_px
    likelihood = 7.0  # of every rotation and shift
    line = np.arange(-12, 12, fine.step_px)
    x, y = np.meshgrid(line, line)
    total = n * (likelihood * np.exp(-(x**2 + y**2) / 2 / sigma**2)).sum()
    found = particle_log_evidence(references, fine, np.log(np.array([total])))
    assert np.allclose(found, np.log(likelihood), atol=1e-6)


def test_the_evidence_of_power_is_that_of_noise_of_that_power():
    references, tile = make_references(), make_tile(make_references())
    excess = np.ones((IMAGES, SHELLS), np.float32)
    excess[0, 3], excess[1, 3], excess[2, :4] = 1.9, 2.1, 50  # the limit is 2
    excess[3] = 0.1
    count = references.null.count
    found = contaminant_log_evidence(references, dataclasses.replace(tile, excess=excess))

    def log_likelihood(power: float, variance: float) -> float:
        """Of n complex components of mean power `power`."""
        return float(-np.log(variance) - power / variance)

    gain = [log_likelihood(e, e) - log_likelihood(e, 1) for e in (float(excess[1, 3]), 50)]
    assert np.allclose(found, [0, count[3] * gain[0], count[:4].sum() * gain[1], 0], rtol=1e-5)


def probability(references: ReferenceSet, particle: float, ball: float, power: float) -> float:
    found = junk_probability(references, *(np.array([v]) for v in (particle, ball, power)))
    return float(found[0])


def test_the_probability_of_junk_follows_bayes_with_one_image_in_ten_junk_beforehand():
    references, share = make_references(), 0.1
    for particle, ball, power in ((0, 0, 0), (2, -1, 0), (1, 4, 0), (3, 0, 2.5), (-2, -3, 0)):
        no_particle = max(0.5 * (1 + np.exp(ball)), np.exp(power))
        expected = share * no_particle
        expected /= expected + (1 - share) * np.exp(particle)
        assert probability(references, particle, ball, power) == pytest.approx(expected, rel=1e-5)


def test_overwhelming_evidence_is_no_overflow():
    references = make_references()
    assert probability(references, 1e6, 0, 0) == pytest.approx(0, abs=1e-12)
    assert probability(references, 0, 1e6, 0) == pytest.approx(1)
    assert probability(references, 0, 0, 1e9) == pytest.approx(1)


def test_an_image_like_a_slice_is_better_explained_by_a_particle_than_by_a_ball_or_noise():
    references = make_references(two_pass=True)
    fine, tile = references.fine, make_tile(references, noise=0.3)
    assert fine is not None
    poses = [
        oracles.Pose(k, matrix, shift)
        for k in range(CLASSES)
        for matrix in fine.grid.matrices[::16]
        for shift in fine.shifts
    ]
    row = 3 * len(fine.shifts)  # unshifted
    image = oracles.slices_of(references, [poses[row]], len(references.disk))
    tile = dataclasses.replace(
        tile,
        images=np.repeat(image, IMAGES, 0).astype(np.complex64) * tile.ctf,
        from_expected=np.zeros_like(tile.from_expected),
    )
    log = oracles.log_posterior(references, tile, 0, poses, BOX, len(references.disk))
    found = particle_log_evidence(references, fine, np.array([oracles.log_sum_exp(log)]))
    assert found[0] > ball_of(references, tile)[0] + 3
    assert found[0] > 3


def test_starts_call_no_image_junk():
    references = make_references()
    assert (expect(references, make_tile(references)).poses.junk_probability == 0).all()
