"""The summary of checked particles, without a window."""

from pathlib import Path

import pytest

pytest.importorskip("napari")

from napari_ini3d.plugin.initial_model.particle_summary import summary_text
from napari_ini3d.preflight.check import CheckReport
from napari_ini3d.preflight.preview import Preview
from napari_ini3d.preflight.working_box import PixelGrid
from napari_ini3d.settings import InitialModelSettings


def summary_of(working_grid):
    report = CheckReport(
        path=Path("particles.star"),
        n_particles=9,
        box_size=256,
        pixel_size=1.2,
        working_grid=working_grid,
    )
    return summary_text(Preview(report), None, InitialModelSettings())


def test_a_smaller_processing_box_is_shown():
    assert "256 pixels of 1.2 Å (307 Å)" in summary_of(PixelGrid(96, 3.2))
    assert "Processed in a box of 96 pixels of 3.2 Å" in summary_of(PixelGrid(96, 3.2))


@pytest.mark.parametrize("grid", [None, PixelGrid(256, 1.2)])
def test_the_box_is_not_shown_if_it_is_that_of_the_particles(grid):
    assert "Processed" not in summary_of(grid)
