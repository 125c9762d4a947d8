"""Runs from class averages of a 2D classification instead of particles."""

from __future__ import annotations

from napari_ini3d.io import ParticleFiles
from napari_ini3d.preflight.findings import Finding
from napari_ini3d.settings import InitialModelSettings


def settings_for(files: ParticleFiles, settings: InitialModelSettings) -> InitialModelSettings:
    """Return the settings of a run; without the CTF and a validation for class averages.

    Averages have been corrected for the CTF. They share particles and their alignment, so that
    half-sets of them are not independent.
    """
    if not files.class_averages:
        return settings
    return settings.with_changes(ctf=False, independent_half_sets=False)


def averages_finding(n_averages: int) -> Finding:
    """Return the warning about a run from class averages."""
    return Finding(
        code="class-averages",
        level="warning",
        message=f"{n_averages} class averages are used as if they were particles: a rare view "
        "counts as much as a common one, the averages of a mixed class blur the map, and its "
        "resolution and its quality are not measured",
        advice="use the map for a quick look, and the particles of good classes (--classes-2d) "
        "for an initial model",
        count=n_averages,
    )
