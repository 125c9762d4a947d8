"""Checks of particles before a run: files, values, bad images, contrast, mask diameter."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from napari_ini3d._types import BoolArray, Int32, IntArray
from napari_ini3d.errors import InputError, SettingsError, StackError
from napari_ini3d.io import (
    ParticleSource,
    StackReader,
    inspect_stacks,
    particle_files,
    read_particles,
)
from napari_ini3d.particles import OpticsGroup, Particles
from napari_ini3d.preflight.background import BackgroundShapes
from napari_ini3d.preflight.bad_images import BadImage, BadReason
from napari_ini3d.preflight.defocus import without_underfocus
from napari_ini3d.preflight.findings import Finding, finding_of, rows_of
from napari_ini3d.preflight.measure import (
    Contrast,
    Measurement,
    known_contrast,
    measure_particles,
    must_invert,
)
from napari_ini3d.preflight.measured import measured_findings
from napari_ini3d.preflight.path_names import check_path_name
from napari_ini3d.preflight.resources import ResourceEstimate, estimate_resources
from napari_ini3d.preflight.values import inspect_values
from napari_ini3d.preflight.working_box import (
    PixelGrid,
    check_box,
    choose_working_grid,
    particle_grid,
)
from napari_ini3d.settings import InitialModelSettings

logger = logging.getLogger(__name__)

_LEAST_MASK = 10.0  # Å, of the setting


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckReport:
    """Results of the checks of particles.

    Attributes
    ----------
    path : Path
    n_particles, n_stacks : int
    optics : tuple of OpticsGroup
    box_size : int
        Pixels, of the particles; 0 if they cannot be read.
    pixel_size : float
        Å, of the particles.
    working_grid : PixelGrid or None
        Grid on which a run processes the particles; coarser than theirs if they are oversampled.
    findings : tuple of Finding
        Errors, warnings and notes; a run does not start with an error.
    bad_images : tuple of BadImage
        Images that a run would exclude, by their row in the particle file (from 0).
    n_mended : int
        Images in which outlier pixels are replaced.
    n_replaced_pixels : int
        Outlier pixels of all images.
    contrast : {"white on black", "black on white", "undecided"}
    inverted : bool
        Whether a run inverts the images.
    mask_diameter : float or None
        Å, estimated.
    resources : ResourceEstimate or None
    """

    path: Path
    n_particles: int = 0
    n_stacks: int = 0
    optics: tuple[OpticsGroup, ...] = ()
    box_size: int = 0
    pixel_size: float = 0.0
    working_grid: PixelGrid | None = None
    findings: tuple[Finding, ...] = ()
    bad_images: tuple[BadImage, ...] = ()
    n_mended: int = 0
    n_replaced_pixels: int = 0
    contrast: Contrast = "undecided"
    inverted: bool = False
    mask_diameter: float | None = None
    resources: ResourceEstimate | None = None

    @property
    def ok(self) -> bool:
        """True if a run can start."""
        return not self.problems

    @property
    def problems(self) -> tuple[str, ...]:
        """Errors as sentences."""
        return tuple(str(found) for found in self.findings if found.level == "error")

    @property
    def notes(self) -> tuple[str, ...]:
        """Warnings and notes as sentences."""
        return tuple(str(found) for found in self.findings if found.level != "error")


def check_headers(
    source: ParticleSource, settings: InitialModelSettings
) -> tuple[CheckReport, Particles | None]:
    """Check a particle file and the headers of its stacks, without reading images.

    Returns
    -------
    CheckReport, Particles or None
        None if the images cannot be read.
    """
    files = particle_files(source)
    path = files.path
    try:
        for each in files.all_paths:
            check_path_name(each)
    except SettingsError as error:
        wrong = Finding(code="path-name", level="error", message=str(error))
        return CheckReport(path=path, findings=(wrong,)), None
    try:
        particles, table = read_particles(source, ctf=settings.ctf)
    except InputError as error:
        return CheckReport(path=path, findings=(finding_of(error),)), None
    headers, errors = inspect_stacks(particles)
    report = CheckReport(
        path=path,
        n_particles=len(particles),
        n_stacks=len(particles.stack_paths),
        optics=particles.optics,
        findings=(
            *map(finding_of, errors),
            *inspect_values(particles, table, headers, settings),
        ),
    )
    if errors:
        return report, None
    logger.info("%s: %d stack header(s) checked", path, len(headers))
    own = particle_grid(particles)
    try:
        check_box(path, particles)
    except StackError as error:
        return replace(report, findings=(*report.findings, finding_of(error))), None
    if report.ok:  # a pixel size in nm is reported once
        try:
            check_mask(settings, own.box_size, own.pixel_size)
        except SettingsError as error:
            wrong = Finding(code="mask-diameter", level="error", message=str(error))
            report = replace(report, findings=(*report.findings, wrong))
    report = replace(report, box_size=own.box_size, pixel_size=own.pixel_size)
    return _with_estimates(report, settings), particles


def _with_estimates(report: CheckReport, settings: InitialModelSettings) -> CheckReport:
    """Add the grid and the resources of the run, for the mask diameter that is known so far."""
    own = PixelGrid(report.box_size, report.pixel_size)
    known = settings
    if settings.mask_diameter is None and report.mask_diameter is not None:
        # less than the setting may be only where the pixel size is wrong, which is reported
        known = settings.with_changes(mask_diameter=max(_LEAST_MASK, report.mask_diameter))
    return replace(
        report,
        working_grid=choose_working_grid(own, known),
        resources=estimate_resources(
            report.n_particles, own.box_size, known, pixel_size=own.pixel_size
        ),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageChecks:
    """Results of the checks of images.

    Attributes
    ----------
    good : (M,) int
        Positions of the particles that can be used.
    bad : tuple of BadImage
        The others.
    replaced : (N,) int32
        Number of outlier pixels in each image.
    contrast : {"white on black", "black on white", "undecided"}
        Of the particles, as measured, or as their file says.
    inverted : bool
        Whether a run inverts the images.
    mask_diameter : float or None
        Å, estimated; None without good images.
    n_uneven : int
        Images with a step or a steep gradient of the background.
    findings : tuple of Finding
    """

    good: IntArray
    bad: tuple[BadImage, ...]
    replaced: Int32
    contrast: Contrast
    inverted: bool
    mask_diameter: float | None
    n_uneven: int
    findings: tuple[Finding, ...]


def check_images(
    source: StackReader,
    particles: Particles,
    unreadable: Sequence[BadImage],
    settings: InitialModelSettings,
    shapes: BackgroundShapes,
) -> ImageChecks:
    """Measure contrast and size of the particles on the images that can be used.

    Parameters
    ----------
    source : StackReader
    particles : Particles
    unreadable : sequence of BadImage
        As `bad_images` found them.
    settings : InitialModelSettings
    shapes : BackgroundShapes
        As `bad_images` measured them.
    """
    bad = _with_bad_rows(unreadable, particles, settings)
    good = np.setdiff1d(np.arange(len(particles)), [image.index for image in bad])
    found = measure_particles(source, good) if len(good) else None
    contrast = known_contrast(particles, found.contrast if found else "undecided")
    replaced = source.replaced_pixels
    uneven = shapes.uneven()
    uneven[[image.index for image in bad]] = False
    findings = [*_image_findings(particles, bad, found, replaced, settings)]
    if uneven.any():
        findings.append(_describe_uneven(particles, uneven))
    return ImageChecks(
        good=good,
        bad=bad,
        replaced=replaced,
        contrast=contrast,
        inverted=must_invert(contrast, settings.invert_contrast),
        mask_diameter=found.mask_diameter if found else None,
        n_uneven=int(uneven.sum()),
        findings=tuple(findings),
    )


def add_image_checks(
    report: CheckReport,
    source: StackReader,
    particles: Particles,
    unreadable: Sequence[BadImage],
    settings: InitialModelSettings,
    shapes: BackgroundShapes,
) -> CheckReport:
    """Add the checks of the images to the report of `check_headers`."""
    found = check_images(source, particles, unreadable, settings, shapes)
    checked = replace(
        report,
        findings=(*report.findings, *found.findings),
        bad_images=tuple(
            replace(image, index=int(particles.file_rows(np.array([image.index]))[0]) - 1)
            for image in found.bad
        ),
        n_mended=int(np.count_nonzero(found.replaced)),
        n_replaced_pixels=int(found.replaced.sum()),
        contrast=found.contrast,
        inverted=found.inverted,
        mask_diameter=found.mask_diameter,
    )
    return _with_estimates(checked, settings)


def check_mask(settings: InitialModelSettings, box_size: int, pixel_size: float) -> None:
    """Raise `SettingsError` for a mask that does not fit into the box of the particles."""
    width = box_size * pixel_size
    if settings.mask_diameter is not None and settings.mask_diameter > width:
        raise SettingsError(
            f"mask_diameter is {settings.mask_diameter:g} Å; the box is {box_size} pixels "
            f"of {pixel_size:g} Å, {width:.0f} Å wide; give a smaller diameter, or "
            "re-extract the particles in a larger box"
        )


def _with_bad_rows(
    bad: Sequence[BadImage], particles: Particles, settings: InitialModelSettings
) -> tuple[BadImage, ...]:
    """Return bad images and, if the CTF is used, particles without underfocus, in order."""
    reasons: dict[int, BadReason] = {}
    if settings.ctf:
        reasons = {int(i): "no underfocus" for i in np.flatnonzero(without_underfocus(particles))}
    reasons |= {image.index: image.reason for image in bad}
    return tuple(BadImage(index, reasons[index]) for index in sorted(reasons))


def _image_findings(
    particles: Particles,
    bad: Sequence[BadImage],
    found: Measurement | None,
    replaced: IntArray,
    settings: InitialModelSettings,
) -> Iterator[Finding]:
    """Yield what is wrong or noteworthy about the images of particles."""
    if bad:
        yield _describe_bad_images(particles, bad, settings.max_excluded)
    mended = replaced > 0
    if mended.any():
        yield Finding(
            code="outlier-pixels",
            level="note",
            message=f"{int(replaced.sum())} outlier pixels in {int(mended.sum())} images; they "
            "are replaced by their neighbours",
            count=int(mended.sum()),
            rows=rows_of(particles, mended),
        )
    if found is None:
        return
    yield from measured_findings(particles, found, settings)


def _describe_bad_images(
    particles: Particles, bad: Sequence[BadImage], max_excluded: float
) -> Finding:
    n, n_bad = len(particles), len(bad)
    concerned = np.zeros(n, dtype=bool)
    concerned[[image.index for image in bad]] = True
    first = ", ".join(
        f"{_image_name(particles, image.index)} ({image.reason})" for image in bad[:3]
    )
    message = f"{n_bad} of {n} images cannot be used (such as {first})"
    if n_bad > max_excluded * n or n_bad == n:
        return Finding(
            code="bad-images",
            level="error",
            message=f"{message}; at most {max_excluded:.1%} may be excluded",
            advice="repair the stacks, remove the rows, or increase --max-excluded",
            count=n_bad,
            rows=rows_of(particles, concerned),
        )
    return Finding(
        code="bad-images",
        level="warning",
        message=f"{message}; they are excluded",
        count=n_bad,
        rows=rows_of(particles, concerned),
    )


def _describe_uneven(particles: Particles, uneven: BoolArray) -> Finding:
    count = int(uneven.sum())
    return Finding(
        code="uneven-background",
        level="note",
        message=f"{count} of {len(particles)} images have a step or a steep gradient of the "
        "background, as the edge of a carbon film has; a plane is subtracted from each image, and "
        "none is excluded",
        count=count,
        rows=rows_of(particles, uneven),
    )


def _image_name(particles: Particles, index: int) -> str:
    stack = particles.stack_paths[int(particles.stack_index[index])]
    return f"{int(particles.image_index[index]) + 1}@{stack}"
