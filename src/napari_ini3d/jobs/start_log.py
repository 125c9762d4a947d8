"""Log messages at the start of a run."""

from __future__ import annotations

import logging

from napari_ini3d import __version__
from napari_ini3d.preflight import PixelGrid
from napari_ini3d.runs import (
    FIRST_WORD,
    RunRecord,
    describe_inversion,
    describe_mended,
    describe_uneven,
)

logger = logging.getLogger(__name__)


def log_start(record: RunRecord, own: PixelGrid, *, resumed: bool) -> None:
    """Log the particles of a run, and what was decided about their images.

    Parameters
    ----------
    record : RunRecord
    own : PixelGrid
        Grid of the particles.
    resumed : bool
        Whether the run continues an earlier one.
    """
    logger.info("%s %s%s", FIRST_WORD, __version__, ", resumed" if resumed else "")
    if record.command:
        logger.info("command: %s", record.command)
    logger.info(
        "%d particles from %s, %d of them excluded",
        record.n_particles,
        record.particles,
        len(record.excluded),
    )
    if record.classes_2d:
        logger.info("only those of the classes %s", ", ".join(map(str, record.classes_2d)))
    if record.class_averages:
        logger.warning(
            "the images are class averages, used as if they were particles, so resolution and "
            "quality are not measured; use the map for a quick look"
        )
    if record.working_pixel_size is not None:
        box_size = round(own.width / record.working_pixel_size)
        logger.info(
            "processed in a box of %s; the result is written in the box of the particles, %s",
            PixelGrid(box_size, record.working_pixel_size),
            own,
        )
    if record.n_mended:
        logger.info("%s", describe_mended(record))
    if record.n_uneven:
        logger.info("%s", describe_uneven(record))
    if record.contrast:
        logger.info("contrast: %s", describe_inversion(record))
    how = "estimated from the images" if record.mask_estimated else "given"
    logger.info("mask diameter %.0f Å, %s", record.settings.mask_diameter or 0.0, how)
