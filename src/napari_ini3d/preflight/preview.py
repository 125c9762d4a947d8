"""Preview of particles: their checks in steps, so that a form can show early results."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, replace

import numpy as np

from napari_ini3d._types import Float32, IntArray
from napari_ini3d.io import ParticleSource, StackReader, particle_files
from napari_ini3d.particles import ImageSource, Particles
from napari_ini3d.preflight.background import BackgroundShapes
from napari_ini3d.preflight.bad_images import BadImage, bad_images
from napari_ini3d.preflight.check import (
    CheckReport,
    add_image_checks,
    check_headers,
)
from napari_ini3d.preflight.class_averages import settings_for
from napari_ini3d.preflight.measure import known_contrast, measure_particles, must_invert
from napari_ini3d.settings import InitialModelSettings

Average = Float32

_SAMPLE = 500  # images
_CHUNK = 8192


@dataclass(frozen=True, slots=True)
class Preview:
    """Results of the checks so far.

    Attributes
    ----------
    report : CheckReport
    n_checked : int
        Number of images checked.
    average : (n, n) float32 or None
        Average of a sample of the particles, each with mean 0 and standard deviation 1.
    complete : bool
        True if all images have been checked.
    """

    report: CheckReport
    n_checked: int = 0
    average: Average | None = None
    complete: bool = False


def preview_particles(source: ParticleSource, settings: InitialModelSettings) -> Generator[Preview]:
    """Yield the results of checking headers, then a sample of the images, then all images.

    The last report equals that of `check_particles`.

    Parameters
    ----------
    source : Path, str or ParticleFiles
    settings : InitialModelSettings
        Settings of the planned run.

    Raises
    ------
    StackError
        If a stack disappears while it is read; all other bad input is in the report.
    """
    settings = settings_for(particle_files(source), settings)
    report, particles = check_headers(source, settings)
    if particles is None:
        yield Preview(report, complete=True)
        return
    yield Preview(report)
    with closing(StackReader(particles)) as reader:
        yield from _check_images(report, reader, particles, settings)


def _check_images(
    report: CheckReport, source: StackReader, particles: Particles, settings: InitialModelSettings
) -> Iterator[Preview]:
    n = len(particles)
    sampled = _preview_sample(report, source, particles, settings)
    yield sampled
    bad: list[BadImage] = []
    shapes = BackgroundShapes(n)
    for start in range(0, n, _CHUNK):
        bad += bad_images(source, np.arange(start, min(n, start + _CHUNK)), shapes=shapes)
        if start + _CHUNK < n:
            known = replace(sampled.report, bad_images=tuple(bad))
            yield replace(sampled, report=known, n_checked=start + _CHUNK)
    last = add_image_checks(report, source, particles, tuple(bad), settings, shapes)
    yield Preview(last, n, sampled.average, complete=True)


def _preview_sample(
    report: CheckReport, source: ImageSource, particles: Particles, settings: InitialModelSettings
) -> Preview:
    n = len(particles)
    sample = np.unique(np.linspace(0, n - 1, min(n, _SAMPLE)).astype(np.int64))
    bad = tuple(bad_images(source, sample))
    good = np.setdiff1d(sample, [image.index for image in bad])
    if not len(good):
        return Preview(replace(report, bad_images=bad), len(sample))
    measured = measure_particles(source, good)
    contrast = known_contrast(particles, measured.contrast)
    found = replace(
        report,
        bad_images=bad,
        contrast=contrast,
        inverted=must_invert(contrast, settings.invert_contrast),
        mask_diameter=measured.mask_diameter,
    )
    return Preview(found, len(sample), average_images(source, good))


def average_images(source: ImageSource, index: IntArray) -> Average:
    """Return the average (n, n) of images, each normalised to mean 0 and deviation 1."""
    total = np.zeros((source.box_size,) * 2)
    for batch in source.batches(np.array_split(index, -(-len(index) // 256))):
        mean = batch.images.mean(axis=(1, 2), keepdims=True)
        deviation = batch.images.std(axis=(1, 2), keepdims=True)
        total += ((batch.images - mean) / deviation).sum(axis=0, dtype=np.float64)
    return (total / len(index)).astype(np.float32)
