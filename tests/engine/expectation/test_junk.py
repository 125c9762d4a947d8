import dataclasses

import numpy as np
import oracles
import pytest
from expectation_problem import (
    BOX,
    CLASSES,
    IMAGES,
    expect,
    make_references,
    make_tile,
)

from napari_ini3d.engine.expectation.junk import (
    ball_log_evidence,
    fine_cell,
    shift_normalisation,
)
from napari_ini3d.engine.expectation.priors import pose_prior
from napari_ini3d.engine.images import WeightedImages
from napari_ini3d.engine.reference_set import NullModel, ReferenceSet
from napari_ini3d.engine.sums import best_poses
from napari_ini3d.kernels import cpu


def ball_of(references: ReferenceSet, tile) -> np.ndarray:
    weighted = WeightedImages.of(tile, references.disk, references.backend)
    c = references.n_coarse
    shifted = weighted.images[:, None, :c] * references.shift_phase[None, :, :c]
    log_prior = np.empty((IMAGES, len(references.shifts), CLASSES), np.float32)
    cpu.coarse_log_prior(pose_prior(references, tile), log_prior)
    half_ctf2 = np.float32(0.5) * weighted.ctf2[:, :c]
    return ball_log_evidence(references, shifted, half_ctf2, log_prior)


@pytest.mark.parametrize("two_pass", [False, True])
def test_the_evidence_of_a_ball_is_the_sum_over_its_shifts(two_pass):
    references = make_references(two_pass=two_pass)
    rng = np.random.default_rng(1)
    ball = rng.normal(0, 2, references.null.ball_power.shape).astype(np.float32)
    null = NullModel.of(ball, references.null.count, references.null.limit)
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
    assert np.log(total) + fine_cell(references, fine) == pytest.approx(np.log(likelihood))


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
    found = oracles.log_sum_exp(log) + fine_cell(references, fine)
    assert found > ball_of(references, tile)[0] + 3
    assert found > 3


def test_starts_call_no_image_junk():
    references = make_references()
    sums = expect(references, make_tile(references))
    assert (best_poses([sums.poses], references.backend).junk_probability == 0).all()
