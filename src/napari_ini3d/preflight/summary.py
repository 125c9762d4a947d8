"""Summary of the checks of particles as text, and the estimated time of a run."""

from __future__ import annotations

from napari_ini3d.engine import ImageGeometry
from napari_ini3d.particles import OpticsGroup
from napari_ini3d.preflight.check import CheckReport
from napari_ini3d.preflight.run_time import estimate_seconds
from napari_ini3d.preflight.working_box import PixelGrid, choose_working_grid
from napari_ini3d.settings import InitialModelSettings

_BAD_SHOWN = 5


def estimated_time(
    report: CheckReport, settings: InitialModelSettings | None = None
) -> float | None:
    """Return the estimated time of a run on this machine in seconds; None if it cannot start.

    Parameters
    ----------
    report : CheckReport
    settings : InitialModelSettings, optional
        Settings of the run; the defaults if not given. A mask diameter in them overrides the
        estimated one.
    """
    settings = settings or InitialModelSettings()
    diameter = settings.mask_diameter or report.mask_diameter
    if diameter is None or not report.box_size:
        return None
    own = PixelGrid(report.box_size, report.pixel_size)
    grid = choose_working_grid(own, settings.with_changes(mask_diameter=diameter))
    geometry = ImageGeometry(grid.box_size, grid.pixel_size, diameter, report.n_particles)
    return round(estimate_seconds(geometry, settings), 1)


def check_rows(report: CheckReport, seconds: float | None) -> list[tuple[str, str]]:
    """Return the results of the checks as pairs of a name and a value."""
    rows = [
        ("particles", str(report.n_particles)),
        ("stacks", str(report.n_stacks)),
        ("optics groups", ", ".join(describe_group(group) for group in report.optics)),
    ]
    if report.box_size:
        width = report.box_size * report.pixel_size
        box = f"{report.box_size} pixels of {report.pixel_size:g} Å, {width:.0f} Å wide"
        if report.working_grid is not None and report.working_grid.box_size < report.box_size:
            box += f"; processed in {report.working_grid}"
        inverted = ", to be inverted" if report.inverted else ""
        rows += [("box", box), ("contrast", report.contrast + inverted)]
        rows.append(("bad images, to be excluded", describe_bad(report)))
        if report.n_mended:
            replaced = describe_replaced(report.n_replaced_pixels, report.n_mended)
            rows.append(("outlier pixels, to be replaced", replaced))
    if report.mask_diameter is not None:
        rows.append(("estimated mask diameter", f"{report.mask_diameter:.0f} Å"))
    if seconds is not None:
        rows.append(("estimated time on the CPU", describe_time(seconds)))
    if report.resources is not None:
        rows.append(("estimated memory", f"{report.resources.memory_bytes / 1e9:.1f} GB"))
        rows.append(("maximum disk space", f"{report.resources.disk_bytes / 1e9:.2f} GB"))
    return rows


def describe_group(group: OpticsGroup) -> str:
    """Return an optics group as text."""
    return (
        f"{group.name} ({group.voltage:g} kV, Cs {group.spherical_aberration:g} mm, "
        f"{group.box_size} x {group.pixel_size:g} Å)"
    )


def describe_bad(report: CheckReport) -> str:
    """Return the number of bad images, and the reasons for the first ones."""
    if not report.bad_images:
        return "none"
    first = ", ".join(f"row {b.index + 1}: {b.reason}" for b in report.bad_images[:_BAD_SHOWN])
    more = ", ..." if len(report.bad_images) > _BAD_SHOWN else ""
    return f"{len(report.bad_images)} ({first}{more})"


def describe_replaced(n_pixels: int, n_images: int) -> str:
    """Return the number of replaced pixels and of their images as text."""
    pixels = "1 pixel" if n_pixels == 1 else f"{n_pixels} pixels"
    return f"{pixels} in {n_images} image" + ("" if n_images == 1 else "s")


def describe_time(seconds: float) -> str:
    """Return a duration as text: ``40 s``, ``12 min``, ``3 h 05 min``."""
    if seconds < 59.5:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"
