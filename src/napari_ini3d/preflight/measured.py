"""Findings on what is measured on images: their contrast, and whether particles are visible."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from napari_ini3d.particles import Particles
from napari_ini3d.preflight.findings import Finding, rows_of
from napari_ini3d.preflight.measure import (
    INVISIBLE,
    Contrast,
    Measurement,
    describe_contrast,
    known_contrast,
    must_invert,
)
from napari_ini3d.settings import InitialModelSettings


def measured_findings(
    particles: Particles, found: Measurement, settings: InitialModelSettings
) -> Iterator[Finding]:
    """Yield what is noteworthy about the contrast and the visibility of particles."""
    contrast, choice = known_contrast(particles, found.contrast), settings.invert_contrast
    is_declared = particles.is_dark is not None
    if must_invert(contrast, choice) or contrast == "black on white":
        confirmed = choice == "yes" and contrast != "white on black"
        declared = choice == "auto" and is_declared
        yield Finding(
            code="contrast",
            level="note" if confirmed or declared else "warning",
            message=describe_contrast(contrast, choice),
            advice="give --invert-contrast to decide it"
            if choice == "auto" and not is_declared
            else "",
        )
    yield from _declared_contrast(particles, found.contrast)
    if not (found.visible or settings.mask_diameter):
        yield Finding(
            code="no-particle-visible",
            level="warning",
            message=INVISIBLE,
            advice="give --mask-diameter",
        )


def _declared_contrast(particles: Particles, measured: Contrast) -> Iterator[Finding]:
    """Yield findings on a contrast that the particle file gives, if it is mixed or doubtful."""
    dark = particles.is_dark
    if dark is None:
        return
    known = known_contrast(particles, measured)
    if dark.any() and not dark.all():
        yield Finding(
            code="contrast-mixed",
            level="note",
            message=f"{np.count_nonzero(dark)} of {len(dark)} particles are black on white by "
            "blob/sign; they are inverted when they are read",
            count=int(np.count_nonzero(dark)),
            rows=rows_of(particles, dark),
        )
    elif measured not in (known, "undecided"):
        yield Finding(
            code="contrast-differs",
            level="warning",
            message=f"the particles are {known} by blob/sign, but look {measured}; blob/sign is "
            "followed",
            advice="if it is wrong, give --invert-contrast yes or no",
            count=len(dark),
        )
