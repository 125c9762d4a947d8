import dataclasses
import math

import numpy as np
import pytest
from fake_runs import make_assignments, make_report, make_volume

from napari_ini3d.runs.summary import (
    LINE_HEADER,
    PICTURE_SIZE,
    IterationSummary,
    central_slices,
    describe_junk,
    describe_result,
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
        "12/20", "search", "25.0", "Å", "15.00°", "200", "0.500", "0", "%", "0.0417", "3.2", "s",
    ]  # fmt: skip
    for column, value in (
        ("phase", "search"),
        ("subset", "200"),
        ("Pmax", "0.500"),
        ("junk", "0 %"),
    ):
        start, end = LINE_HEADER.index(column), LINE_HEADER.index(column) + len(column)
        assert value in line[start - 2 : end + 2]


def test_stored_slices_are_scaled_to_one_and_keep_their_shape():
    volume = 1e6 * make_volume()  # beyond half precision
    pictures = make_pictures(make_report(volumes=volume[None]))
    assert pictures["slices"].dtype == np.float16
    expected = central_slices(volume)
    np.testing.assert_allclose(pictures["slices"][0], expected / np.abs(expected).max(), atol=1e-3)


def summary_with(junk, **changes):
    assignments = make_assignments(len(junk), junk=junk)
    assignments.class_index[-1] = -1  # not used yet
    return IterationSummary.from_report(make_report(assignments=assignments, **changes))


def test_the_share_of_junk_is_the_mean_probability_of_the_particles_used():
    assert summary_with([0.9, 0.1, 0.2, 1.0]).junk == pytest.approx(0.4)


def test_there_is_no_share_of_junk_in_the_random_starts():
    summary = summary_with([0.0, 0.0, 0.0], phase="starts")
    assert math.isnan(summary.junk)
    assert summary.to_json()["junk"] is None
    assert format_line(summary).split()[7] == "-"
    assert describe_junk(summary) == ""


def test_a_line_without_the_share_of_junk_is_read():
    line = summary_with([0.5, 0.5]).to_json()
    del line["junk"]
    assert math.isnan(IterationSummary.from_json(line).junk)
    del line["resolution"]
    with pytest.raises(KeyError, match="resolution"):
        IterationSummary.from_json(line)


@pytest.mark.parametrize(("junk", "mentioned"), [(0.004, False), (0.141, True)])
def test_the_result_mentions_junk_if_there_is_any(junk, mentioned):
    sentences = describe_result("m.mrc", summary_with([junk, 0.0]))
    assert sentences[0] == "m.mrc is class 1, with 100 % of the particles"
    assert [s.partition(" of ")[0] for s in sentences[1:]] == ["14 %"] * mentioned


@pytest.mark.parametrize(
    ("shares", "said"),
    [
        ((0.6, 0.4), None),
        ((0.93, 0.07), None),
        ((0.97, 0.03), "class 2 (3.0%) holds hardly any particles; fewer than 2 classes"),
        ((0.99, 0.0, 0.01), "class 2 (0.0%), class 3 (1.0%) hold hardly any particles; fewer than"),
        ((1.0,), None),
    ],
)
def test_the_result_names_classes_that_hold_hardly_any_particles(shares, said):
    summary = dataclasses.replace(summary_with([0.0, 0.0]), class_shares=list(shares))
    sentences = describe_result("m.mrc", summary)[1:]
    assert [s[: len(said or "")] for s in sentences] == ([said] if said else [])


def test_particles_are_counted_by_their_probability_of_junk():
    assignments = make_assignments(5, junk=[0.0, 0.02, 0.62, 1.0, 0.5])
    assignments.class_index[4] = -1
    counts = make_pictures(make_report(assignments=assignments))["junk_counts"]
    assert counts.tolist() == [2] + 11 * [0] + [1] + 6 * [0] + [1]
