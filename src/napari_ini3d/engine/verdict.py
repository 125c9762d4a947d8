"""Verdict on a run: reliable, uncertain or failed, with the reasons in words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from napari_ini3d._types import Float32, Float64
from napari_ini3d.engine.regularisation import cube_shells

Level = Literal["reliable", "uncertain", "failed"]

# Set by benchmarks/robustness.py and noise alone, see docs/method.md.
_FAILED_RATIO, _UNCERTAIN_RATIO = 0.75, 0.5  # of the resolution at which the half-sets start
_MOST_JUNK = 0.5
_LEAST_AGREEMENT = 0.7  # of another start with the best
_LEAST_REPEAT = 0.9  # agreement of the search from other random maps
_LEAST_COVERAGE = 0.7
_LEAST_WEIGHT = 0.05  # of the mean of a shell, of a Fourier component that has been seen


@dataclass(frozen=True, slots=True)
class Verdict:
    """How far the map of a run can be trusted.

    Attributes
    ----------
    level : {"reliable", "uncertain", "failed"}
    reasons : tuple of str
        Sentences; empty for a reliable run.
    """

    level: Level
    reasons: tuple[str, ...]


def judge_run(
    *,
    resolution: float,
    finest: float,
    start_resolution: float,
    junk: float,
    start_agreement: Float64,
    repeat_agreement: float | None,
    coverage: float,
) -> Verdict:
    """Return the verdict on a run.

    Parameters
    ----------
    resolution : float
        Å, where the FSC of the independent half-sets falls below 0.5.
    finest : float
        Å, where it falls below 0.143: where this is hardly finer than the start, the half-sets have
        found nothing that they agree about. Few particles, or a low SNR, agree to little at 0.5.
    start_resolution : float
        Å, of the map from which the half-sets were refined.
    junk : float
        Share of the images in which no particle was recognised.
    start_agreement : (S - 1,) float64
        Mean FSC of the other random starts with the best one.
    repeat_agreement : float or None
        Mean FSC of the map with that of a search from other random maps; None if it was not done.
    coverage : float
        Share of the Fourier components up to the resolution that the views cover.
    """
    failed, uncertain = [], []
    shared = f"hardly finer than the {start_resolution:.0f} Å that they share"
    if finest > _FAILED_RATIO * start_resolution:
        failed.append(f"independent half-sets agree to {finest:.1f} Å (FSC 0.143) only, {shared}")
    elif resolution > _UNCERTAIN_RATIO * start_resolution:
        uncertain.append(f"independent half-sets agree to {resolution:.1f} Å (FSC 0.5) only")
    if junk >= _MOST_JUNK:
        failed.append(
            f"{junk:.0%} of the images are explained as well without a particle of this shape"
        )
    if len(start_agreement) and start_agreement.max() < _LEAST_AGREEMENT:
        uncertain.append(
            "no other random start agreed with this map (mean FSC of the best "
            f"{start_agreement.max():.2f})"
        )
    if repeat_agreement is not None and repeat_agreement < _LEAST_REPEAT:
        uncertain.append(
            "the search from other random maps ended at a different map (mean FSC "
            f"{repeat_agreement:.2f})"
        )
    if coverage < _LEAST_COVERAGE:
        uncertain.append(
            f"the views cover {coverage:.0%} of the Fourier components only: directions are missing"
        )
    level: Level = "failed" if failed else "uncertain" if uncertain else "reliable"
    return Verdict(level, tuple(failed + uncertain))


def fourier_coverage(denominator: Float32, radius: int, padding: int) -> float:
    """Return the share of the Fourier components of the shells up to a radius with data.

    Parameters
    ----------
    denominator : (cube) float32
        Sums of weights of a class, of both half-sets.
    radius : int
    padding : int
    """
    shell = cube_shells(denominator.shape[0] // 2, padding)
    weight = denominator.astype(np.float64).ravel()
    count = np.maximum(np.bincount(shell.ravel()), 1)
    mean = (np.bincount(shell.ravel(), weight) / count)[shell.ravel()]
    inside = (shell.ravel() >= 1) & (shell.ravel() <= radius)
    return float((weight[inside] > _LEAST_WEIGHT * mean[inside]).mean())
