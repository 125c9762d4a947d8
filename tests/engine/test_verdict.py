import numpy as np
import pytest

from napari_ini3d.engine.verdict import fourier_coverage, judge_run

GOOD = {
    "resolution": 12.0,
    "finest": 10.0,
    "start_resolution": 40.0,
    "junk": 0.15,
    "start_agreement": np.array([0.5, 0.95]),
    "repeat_agreement": 0.97,
    "coverage": 0.98,
}


def test_a_run_whose_half_sets_agree_far_beyond_their_start_is_reliable():
    verdict = judge_run(**GOOD)
    assert (verdict.level, verdict.reasons) == ("reliable", ())


@pytest.mark.parametrize(
    ("found", "level", "word"),
    [
        ({"resolution": 38.0, "finest": 35.0}, "failed", "35.0 Å"),
        ({"resolution": np.inf, "finest": np.inf}, "failed", "half-sets"),
        ({"resolution": 25.0}, "uncertain", "25.0 Å"),
        ({"resolution": 35.0, "finest": 25.0}, "uncertain", "35.0 Å"),
        ({"junk": 0.62}, "failed", "62%"),
        ({"start_agreement": np.array([0.3, 0.55])}, "uncertain", "0.55"),
        ({"repeat_agreement": 0.79}, "uncertain", "0.79"),
        ({"coverage": 0.4}, "uncertain", "40%"),
    ],
)
def test_each_weakness_changes_the_verdict_and_is_named(found, level, word):
    verdict = judge_run(**{**GOOD, **found})
    assert verdict.level == level
    assert any(word in reason for reason in verdict.reasons)


def test_a_failure_outweighs_doubts_and_both_are_named():
    verdict = judge_run(**{**GOOD, "finest": 35.0, "coverage": 0.4})
    assert verdict.level == "failed"
    assert len(verdict.reasons) == 2


def test_a_single_start_is_no_reason_for_doubt():
    assert judge_run(**{**GOOD, "start_agreement": np.zeros(0)}).level == "reliable"


def test_a_search_that_was_not_repeated_is_no_reason_for_doubt():
    assert judge_run(**{**GOOD, "repeat_agreement": None}).level == "reliable"


def test_the_coverage_is_the_share_of_the_components_with_data():
    m = 8
    k = np.arange(-m, m + 1)
    kz, ky, kx = np.meshgrid(k, k, np.arange(m + 2), indexing="ij")
    length = np.sqrt(kz**2 + ky**2 + kx**2)
    cone = np.abs(kz) > 0.6 * length  # views that leave a cone about Z out
    weight = np.where(cone, 0.0, 1.0).astype(np.float32)
    inside = (np.rint(length) >= 1) & (np.rint(length) <= 5)
    expected = 1 - cone[inside].mean()
    assert fourier_coverage(weight, 5, 1) == pytest.approx(expected)
    assert fourier_coverage(np.ones_like(weight), 5, 1) == 1
