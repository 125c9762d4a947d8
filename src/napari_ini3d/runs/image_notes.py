"""Sentences on what a run does with its images, for the log and the report."""

from __future__ import annotations

from napari_ini3d.runs.record import RunRecord


def describe_mended(record: RunRecord) -> str:
    """Return the number of outlier pixels that were replaced, as a sentence."""
    if not record.n_mended:
        return "no image has outlier pixels"
    pixels = _count(record.n_replaced_pixels, "outlier pixel")
    return f"{pixels} (hot, dead or not finite) replaced in {_count(record.n_mended, 'image')}"


def describe_uneven(record: RunRecord) -> str:
    """Return the number of images with an uneven background, as a sentence."""
    if not record.n_uneven:
        return "no image has a step or a steep gradient of the background"
    return (
        f"{_count(record.n_uneven, 'image')} with a step or a steep gradient of the background, as "
        "the edge of a carbon film has"
    )


def describe_inversion(record: RunRecord) -> str:
    """Return the contrast of the particles, and whether the images are inverted, as a sentence."""
    found = record.contrast or "not measured"
    inverted = record.settings.invert_contrast == "yes"
    done = "the images are inverted" if inverted else "the images are not inverted"
    how = "" if record.inversion_measured else ", as the settings say"
    later = "; invert the stacks before a refinement in another program" if inverted else ""
    return f"{found}; {done}{how}{later}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
