import math

import numpy as np
import pytest
from fake_runs import make_report, make_volume

from napari_ini3d.runs.summary import (
    LINE_HEADER,
    PICTURE_SIZE,
    IterationSummary,
    central_slices,
    format_line,
    make_pictures,
    projections,
    shrink,
)


def test_a_summary_goes_through_json_unchanged_and_infinity_becomes_nan():
    report = make_report(2, classes=2, resolution=np.array([np.inf, 12.345678]))
    summary = IterationSummary.from_report(report)
    again = IterationSummary.from_json(summary.to_json())
    assert summary.to_json()["resolution"] == [None, 12.3457]
    assert math.isnan(again.resolution[0])
    assert again.best_resolution == 12.3457
    assert again.seconds == {"expectation": 0.5, "maximisation": 0.25}
    assert again.total_seconds == 0.75


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_slices_are_perpendicular_to_each_axis_and_projections_along_it(axis):
    volume = np.zeros((16, 16, 16), np.float32)
    volume[3, 5, 8] = 1
    volume[8, 8, 8] = 2
    assert central_slices(volume)[axis].sum() == (3 if axis == 2 else 2)
    expected = np.zeros((16, 16))
    expected[tuple(p for i, p in enumerate((3, 5, 8)) if i != axis)] += 1
    expected[8, 8] += 2
    np.testing.assert_array_equal(projections(volume)[axis], expected)


def test_shrinking_keeps_the_mean_and_the_position_of_a_blob():
    n, m = 128, 64
    y, x = np.mgrid[:n, :n] - n // 2
    blob = np.exp(-((x - 20) ** 2 + (y + 10) ** 2) / 72)
    small = shrink(blob, m)
    y, x = np.mgrid[:m, :m] - m // 2
    np.testing.assert_allclose(small, np.exp(-((x - 10) ** 2 + (y + 5) ** 2) / 18), atol=1e-6)
    assert small.mean() == pytest.approx(blob.mean())


def test_a_small_image_is_not_changed():
    image = np.random.default_rng(0).normal(size=(PICTURE_SIZE, PICTURE_SIZE))
    assert shrink(image, PICTURE_SIZE) is image


def test_the_values_of_a_line_are_below_their_columns():
    report = make_report(
        12, 20, message="starts agree", seconds={"total": 3.25, "expectation": 9.0}
    )
    line = format_line(IterationSummary.from_report(report))
    assert line.endswith("  starts agree")
    values = line.removesuffix("  starts agree").split()
    assert values == [
        "12/20", "search", "25.0", "Å", "15.00°", "200", "0.500", "0.0417", "3.2", "s",
    ]  # fmt: skip
    for column, value in (("phase", "search"), ("subset", "200"), ("Pmax", "0.500")):
        start, end = LINE_HEADER.index(column), LINE_HEADER.index(column) + len(column)
        assert value in line[start - 2 : end + 2]


def test_stored_slices_are_scaled_to_one_and_keep_their_shape():
    volume = 1e6 * make_volume()  # beyond half precision
    pictures = make_pictures(make_report(volumes=volume[None]))
    assert pictures["slices"].dtype == np.float16
    expected = central_slices(volume)
    np.testing.assert_allclose(pictures["slices"][0], expected / np.abs(expected).max(), atol=1e-3)
