"""A check of particles in steps, so that a form can show at once what is known at once."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from napari_ini3d._types import Float32, IntArray
from napari_ini3d.io import StackReader
from napari_ini3d.particles import ImageSource, Particles
from napari_ini3d.preflight.check import (
    BadImage,
    CheckReport,
    bad_images,
    check_headers,
    estimate_mask_diameter,
    judge_contrast,
    judge_images,
)
from napari_ini3d.settings import InitialModelSettings

Average = Float32

_SAMPLE = 500  # images
_CHUNK = 8192


@dataclass(frozen=True, slots=True)
class Preview:
    """What is known so far.

    Attributes
    ----------
    report : CheckReport
    n_checked : int
        Images that were looked at.
    average : (n, n) float32 or None
        Of a sample of the particles, each with mean 0 and deviation 1.
    complete : bool
        True in the last one.
    """

    report: CheckReport
    n_checked: int = 0
    average: Average | None = None
    complete: bool = False


def preview_particles(path: Path | str, settings: InitialModelSettings) -> Generator[Preview]:
    """Yield what is known of particles: from the headers, from a sample, then from all images.

    The last one says what `check_particles` says. Between two steps the caller may stop.

    Parameters
    ----------
    path : Path or str
    settings : InitialModelSettings
        Of the run that is meant.

    Raises
    ------
    StackError
        Where a stack goes away while it is read; all other bad input is in the report.
    """
    report, particles = check_headers(path, settings)
    if particles is None:
        yield Preview(report, complete=True)
        return
    yield Preview(report)
    with closing(StackReader(particles)) as source:
        yield from _look_at_images(report, source, particles, settings)


def _look_at_images(
    report: CheckReport, source: ImageSource, particles: Particles, settings: InitialModelSettings
) -> Iterator[Preview]:
    n = len(particles)
    sampled = _preview_sample(report, source, n)
    yield sampled
    bad: list[BadImage] = []
    for start in range(0, n, _CHUNK):
        bad += bad_images(source, np.arange(start, min(n, start + _CHUNK)))
        if start + _CHUNK < n:
            known = replace(sampled.report, bad_images=tuple(bad))
            yield replace(sampled, report=known, n_checked=start + _CHUNK)
    last = judge_images(report, source, particles, tuple(bad), settings)
    yield Preview(last, n, sampled.average, complete=True)


def _preview_sample(report: CheckReport, source: ImageSource, n: int) -> Preview:
    sample = np.unique(np.linspace(0, n - 1, min(n, _SAMPLE)).astype(np.int64))
    bad = tuple(bad_images(source, sample))
    good = np.setdiff1d(sample, [image.index for image in bad])
    if not len(good):
        return Preview(replace(report, bad_images=bad), len(sample))
    found = replace(
        report,
        bad_images=bad,
        contrast=judge_contrast(source, good),
        mask_diameter=estimate_mask_diameter(source, good),
    )
    return Preview(found, len(sample), average_images(source, good))


def average_images(source: ImageSource, index: IntArray) -> Average:
    """Return the average (n, n) of images, each brought to mean 0 and deviation 1 before."""
    total = np.zeros((source.box_size,) * 2)
    for batch in source.batches(np.array_split(index, -(-len(index) // 256))):
        mean = batch.images.mean(axis=(1, 2), keepdims=True)
        deviation = batch.images.std(axis=(1, 2), keepdims=True)
        total += ((batch.images - mean) / deviation).sum(axis=0, dtype=np.float64)
    return (total / len(index)).astype(np.float32)
