"""Checks of the values in a particle file: likely units, helices, numbers, stacks."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from napari_ini3d._types import BoolArray
from napari_ini3d.io import ParticleTable, StackHeader
from napari_ini3d.particles import Particles
from napari_ini3d.preflight.class_averages import averages_finding
from napari_ini3d.preflight.defocus import inspect_defocus
from napari_ini3d.preflight.findings import Finding, rows_of
from napari_ini3d.settings import InitialModelSettings

_USUAL_OPTICS = {  # label: what it is, its unit, least and largest usual value, what is expected
    "voltage": ("the voltage", " kV", 60.0, 1500.0, "100 to 300 kV as a rule"),
    "amplitude_contrast": ("the amplitude contrast", "", 0.0, 0.5, "0.07 to 0.1 as a rule"),
    "spherical_aberration": ("the spherical aberration", " mm", -1.0, 10.0, "mm, 2.7 as a rule"),
}
_ABERRATION_IN_M = (4e-4, 0.01)  # m of any lens; also mm behind a corrector
_PIXEL_UNITS = (("nm", 10.0), ("µm", 1e4), ("m", 1e10), ("pm", 0.01), ("fm", 1e-5))  # Å per unit
_USUAL_PIXELS = (0.3, 30.0)  # Å
_SMALLEST_PIXEL = 0.2  # Å
_SMALL_PIXEL = 0.6  # Å, plausible in a large box only
_NARROW_BOX = 80.0  # Å
_LARGEST_PIXEL = 30.0  # Å
_SAME = 0.02
_FEW = 100
_LEAST_ANGLES = 20  # that differ, before their unit is judged


def inspect_values(
    particles: Particles,
    table: ParticleTable,
    headers: dict[int, StackHeader],
    settings: InitialModelSettings,
) -> Iterator[Finding]:
    """Yield what is wrong or noteworthy about particles, without their images.

    Parameters
    ----------
    particles : Particles
    table : ParticleTable
        From which they were read.
    headers : dict
        Headers of the stacks by position in `particles.stack_paths`.
    settings : InitialModelSettings
        They decide whether the CTF is checked.
    """
    yield from _pixel_sizes(particles, headers)
    if settings.ctf:
        yield from inspect_defocus(particles)
        yield from _angles_in_radians(particles)
        yield from _optics(particles)
        yield from _ctf_flags(particles)
    yield from _particles(particles, table)
    yield from _stacks(particles, table, headers)


def _angles_in_radians(particles: Particles) -> Iterator[Finding]:
    names = {"defocus angle": particles.defocus_angle, "phase shift": particles.phase_shift}
    for name, values in names.items():
        finite = values[np.isfinite(values)]
        largest = float(np.abs(finite).max(initial=0.0))
        # a phase plate shifts by tens of degrees; an angle of some micrographs may be small
        enough = name == "phase shift" or len(np.unique(finite)) >= _LEAST_ANGLES
        if enough and 0 < largest <= 2 * np.pi:
            yield Finding(
                code="angle-unit",
                level="warning",
                message=f"every {name} is within {largest:.3g}, expected degrees; it "
                "looks like radians",
                advice="multiply them by 57.29578",
                count=len(particles),
            )


def _optics(particles: Particles) -> Iterator[Finding]:
    """Yield values of optics groups that are possible, but unusual or likely in another unit."""
    for position, group in enumerate(particles.optics):
        count = int(np.count_nonzero(particles.optics_index == position))
        aberration = group.spherical_aberration
        if _ABERRATION_IN_M[0] <= aberration < _ABERRATION_IN_M[1]:
            yield Finding(
                code="aberration-unit",
                level="warning",
                message=f"the spherical aberration of optics group {group.number} is "
                f"{aberration:g}, expected mm, 2.7 as a rule; it looks like m",
                advice="multiply it by 1000, unless the microscope has a Cs corrector",
                count=count,
            )
        for field, (what, unit, low, high, expected) in _USUAL_OPTICS.items():
            value = getattr(group, field)
            if not low <= value <= high:
                yield Finding(
                    code="optics-unusual",
                    level="warning",
                    message=f"{what} of optics group {group.number} is {value:g}{unit}, expected "
                    f"{expected}",
                    advice="correct the value",
                    count=count,
                )


def _ctf_flags(particles: Particles) -> Iterator[Finding]:
    if any(group.ctf_premultiplied for group in particles.optics):
        yield Finding(
            code="ctf-premultiplied",
            level="note",
            message="some images are CTF-premultiplied (data_optics); a run accounts for that",
        )
    if any(group.phase_flipped for group in particles.optics):
        yield Finding(
            code="phase-flipped",
            level="note",
            message="some images are phase-flipped (data_optics); a run accounts for that",
        )


def _pixel_sizes(particles: Particles, headers: dict[int, StackHeader]) -> Iterator[Finding]:
    for position, group in enumerate(particles.optics):
        concerned = particles.optics_index == position
        width = group.pixel_size * group.box_size
        stacks = {int(stack) for stack in np.unique(particles.stack_index[concerned])}
        sizes = {headers[stack].pixel_size for stack in stacks if stack in headers}
        header = sizes.pop() if len(sizes) == 1 else 0.0
        ratio = header / group.pixel_size if header > 0 else 1.0
        found = f"optics group {group.number} has images of {group.box_size} pixels of "
        found += f"{group.pixel_size:g} Å, {width:g} Å wide"
        tiny = group.pixel_size < _SMALLEST_PIXEL or (
            group.pixel_size < _SMALL_PIXEL and width < _NARROW_BOX
        )
        tenfold = group.pixel_size < 1 and abs(ratio / 10 - 1) < _SAME  # of that in the header
        if not (tiny or tenfold or group.pixel_size > _LARGEST_PIXEL):
            if abs(ratio - 1) > _SAME and header != 1:
                yield Finding(
                    code="pixel-size-differs",
                    level="note",
                    message=f"{found}, but the headers of the stacks say {header:g} Å; that of "
                    "the particle file is used",
                    advice="check the pixel size",
                    count=int(concerned.sum()),
                )
            continue
        looks, advice = _pixel_unit(group.pixel_size)
        yield Finding(
            code="pixel-size-unit",
            level="error",
            message=f"{found}; the pixel size {looks}, expected Å",
            advice=advice,
            count=int(concerned.sum()),
        )


def _pixel_unit(value: float) -> tuple[str, str]:
    """Return what a pixel size looks like that is not in Å, and what to do."""
    for unit, factor in _PIXEL_UNITS:
        if _USUAL_PIXELS[0] <= value * factor <= _USUAL_PIXELS[1]:
            return f"looks like {unit}", f"multiply the pixel size by {factor:g}"
    return "is of no known unit", "correct the pixel size"


def _particles(particles: Particles, table: ParticleTable) -> Iterator[Finding]:
    if table.class_averages:
        yield averages_finding(len(particles))
    elif len(particles) < _FEW:
        yield Finding(
            code="few-particles",
            level="warning",
            message=f"{len(particles)} particle{'' if len(particles) == 1 else 's'}, too few for "
            "a model; expected some thousand",
            advice="use more particles",
            count=len(particles),
        )
    if table.is_helical:
        yield Finding(
            code="helical",
            level="warning",
            message="the particles are segments of helices, but helical symmetry is not handled; "
            "expected single particles",
            advice="use a program for helices",
            count=len(particles),
        )
    repeated = _repeated_images(particles)
    if repeated.any():
        yield Finding(
            code="duplicates",
            level="warning",
            message=f"{repeated.sum()} particles have the same image as another one",
            advice="remove duplicates",
            count=int(repeated.sum()),
            rows=rows_of(particles, repeated),
        )


def _repeated_images(particles: Particles) -> BoolArray:
    """Return which particles have the same image as an earlier particle, (N,)."""
    stack = particles.stack_index.astype(np.int64)
    key = stack * (int(particles.image_index.max(initial=0)) + 1) + particles.image_index
    repeated = np.ones(len(key), dtype=bool)
    repeated[np.unique(key, return_index=True)[1]] = False
    return repeated


def _stacks(
    particles: Particles, table: ParticleTable, headers: dict[int, StackHeader]
) -> Iterator[Finding]:
    unsigned = [stack for stack, header in headers.items() if header.dtype == np.uint8]
    if unsigned:
        yield Finding(
            code="unsigned-bytes",
            level="note",
            message=f"{len(unsigned)} stacks, such as {particles.stack_paths[unsigned[0]]}, have "
            "bytes (mode 0), which are read as unsigned, 0 to 255",
            count=len(unsigned),
        )
    longer = [stack for stack, header in headers.items() if header.extra_bytes]
    if longer:
        path, header = particles.stack_paths[longer[0]], headers[longer[0]]
        yield Finding(
            code="stack-size",
            level="warning",
            message=f"{len(longer)} stacks, such as {path}, are longer than their headers say "
            f"(there, {header.extra_bytes} bytes follow {header.n_images} images)",
            advice="make them again if an extended header is not declared: images would be shifted",
            count=len(longer),
        )
    other = table.respelled_stacks()
    if other:
        yield Finding(
            code="stack-names",
            level="note",
            message=f"{len(other)} stacks are found by another name, such as {other[0][1]} for "
            f"{other[0][0]}",
            count=len(other),
        )
