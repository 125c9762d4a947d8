"""Checks of particles before one or several runs: headers, values and every image."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from types import TracebackType
from typing import Self

from napari_ini3d.io import ParticleFiles, ParticleSource, StackReader, particle_files
from napari_ini3d.particles import Particles
from napari_ini3d.preflight.background import BackgroundShapes
from napari_ini3d.preflight.bad_images import BadImage, bad_images
from napari_ini3d.preflight.check import CheckReport, add_image_checks, check_headers
from napari_ini3d.preflight.class_averages import settings_for
from napari_ini3d.preflight.findings import with_strict
from napari_ini3d.settings import InitialModelSettings


def check_particles(
    source: ParticleSource, settings: InitialModelSettings | None = None, *, strict: bool = False
) -> CheckReport:
    """Check a particle file and its stacks before a run.

    Every header and every image is read once. Bad input raises no error, but is reported.

    Parameters
    ----------
    source : Path, str or ParticleFiles
    settings : InitialModelSettings, optional
        Settings of the planned run. They decide whether the CTF is checked, how many images may be
        excluded, and the estimates of memory and disk space.
    strict : bool
        Treat warnings as errors.
    """
    with ParticleChecks(strict=strict) as checks:
        return checks.check(source, settings or InitialModelSettings())


class ParticleChecks:
    """Checks of the particles of several runs; the images of a file are read only once.

    Parameters
    ----------
    strict : bool
        Treat warnings as errors.
    """

    def __init__(self, *, strict: bool = False) -> None:
        self._strict = strict
        self._read: dict[ParticleFiles, tuple[StackReader, list[BadImage], BackgroundShapes]] = {}
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stack.close()

    def check(self, source: ParticleSource, settings: InitialModelSettings) -> CheckReport:
        """Check the particles of a run, as `check_particles` does."""
        files = particle_files(source)
        settings = settings_for(files, settings)
        report, particles = check_headers(files, settings)
        if particles is not None:
            reader, unreadable, shapes = self._images(files, particles)
            report = add_image_checks(report, reader, particles, unreadable, settings, shapes)
        return replace(report, findings=with_strict(report.findings, strict=self._strict))

    def _images(
        self, files: ParticleFiles, particles: Particles
    ) -> tuple[StackReader, list[BadImage], BackgroundShapes]:
        if files not in self._read:
            reader = StackReader(particles)
            self._stack.callback(reader.close)
            shapes = BackgroundShapes(len(particles))
            unreadable = list(bad_images(reader, len(particles), shapes=shapes))
            self._read[files] = reader, unreadable, shapes
        return self._read[files]
