import numpy as np
import pytest
from fake_runs import make_volume
from fake_symmetry import make_alignment, make_report
from matplotlib.image import imread
from scipy.spatial.transform import Rotation

from napari_ini3d.geometry.healpix import pixel_directions
from napari_ini3d.report.run_figures import save_png
from napari_ini3d.report.symmetry_figures import (
    draw_alignment,
    draw_report,
    draw_validation,
    shown_candidate,
    sphere_image,
)
from napari_ini3d.simulation import make_phantom
from napari_ini3d.symmetry.validate import validate_symmetry

ROTATION = Rotation.from_euler("xyz", [20, 35, 50], degrees=True).as_matrix()


def slices(figure):
    """The images of slices in a figure, by the title above them."""
    everywhere = [figure, *getattr(figure, "subfigs", [])]
    axes = [axis for part in everywhere for axis in part.axes]
    return {a.get_title(loc="left"): a for a in axes if a.images and a.get_xlabel()}


@pytest.mark.parametrize(("title", "across"), [("D2: xy", 0), ("D2: xz", 1), ("D2: yz", 2)])
def test_slices_go_through_the_centre_of_symmetry(title, across):
    volume = make_volume(seed=1)
    report = make_report("D2", centre=(8.0, -4.0, 12.0))  # Å, of 4 Å voxels
    shown = slices(draw_report(report, volume))[title].images[0].get_array()
    index = 16 + (3, -1, 2)[across]
    np.testing.assert_array_equal(shown, np.take(volume, index, axis=across))


def test_axes_are_drawn_where_they_lie():
    report = make_report("C7", rotation=ROTATION, centre=(8.0, -4.0, 12.0))
    for title, letters in (("C7: xy", [0, 1]), ("C7: xz", [0, 2]), ("C7: yz", [1, 2])):
        (line,) = slices(draw_report(report, make_volume()))[title].lines
        ends = np.array(line.get_data()).T
        np.testing.assert_allclose(ends.mean(axis=0), np.array([8.0, -4.0, 12.0])[letters])
        reach, direction = ends[1] - ends[0], ROTATION[2][letters]
        assert abs(np.cross(np.append(reach, 0), np.append(direction, 0))[2]) < 1e-6
        length = np.linalg.norm(reach) / np.linalg.norm(direction)
        assert 80 < length < 128  # of a box of 128 Å


def test_an_alignment_shows_the_axes_before_and_on_the_setting_of_the_group():
    volume, alignment = make_volume(), make_alignment("D2", rotation=ROTATION, shift=(4.0, 0, -4))
    aligned = alignment.apply(volume)
    shown = slices(draw_alignment(alignment, volume, aligned))
    assert set(shown) == {
        f"{row}: {p}" for row in ("before", "aligned") for p in ("xy", "xz", "yz")
    }
    np.testing.assert_array_equal(shown["aligned: xy"].images[0].get_array(), aligned[16])
    across = [np.ptp(np.array(line.get_data()), axis=1) for line in shown["aligned: xy"].lines]
    lengths = sorted(np.round(spread.max()) for spread in across)
    assert lengths[0] == 0  # the 2-fold along z
    assert all((spread > 1e-6).sum() <= 1 for spread in across)  # along x, or along y


def test_every_order_has_its_half_sphere():
    report = make_report("D7")
    figure = draw_report(report, make_volume())
    titles = [a.get_title() for part in figure.subfigs for a in part.axes if a.get_title()]
    highest = [f"{values.max():.2f}" for values in report.self_rotation.values]
    assert titles == [f"{n}-fold, max. {h}" for n, h in zip(range(2, 15), highest, strict=True)]


def test_the_best_candidate_is_shown_where_the_map_has_no_symmetry():
    report = make_report("D2", holds=False)
    assert report.group == "C1"
    assert shown_candidate(report).group == "D2"
    assert "D2 (does not hold): xy" in slices(draw_report(report, make_volume()))


def test_a_peak_of_the_sphere_is_seen_from_above():
    directions = pixel_directions(16)
    directions = directions[directions[:, 2] >= 0]
    peak = np.array([0.6, 0.0, 0.8])
    image = sphere_image(directions, np.exp(50 * (directions @ peak - 1)), 101)
    row, column = np.unravel_index(np.nanargmax(image), image.shape)
    radius = np.sqrt(1 - 0.8)  # of equal areas: 1 - z of the cap, as a share of the disc
    assert abs(row - 50) <= 1
    assert abs(column - (50 + 50 * radius)) <= 1
    assert np.isnan(image[0, 0])
    assert np.isfinite(image[50]).all()


def test_values_at_the_rim_belong_to_both_ends_of_an_axis():
    directions = pixel_directions(16)
    directions = directions[directions[:, 2] >= 0]
    image = sphere_image(directions, directions[:, 0] ** 2, 101)
    np.testing.assert_allclose(image[50, [0, 100]], 1, atol=0.02)
    np.testing.assert_allclose(image[[0, 100], 50], 0, atol=0.02)


def test_a_validation_shows_before_after_and_the_difference_on_one_scale():
    volume = make_phantom("C3", diameter=80.0, seed=2).density(32, 4.0)
    validation = validate_symmetry(volume, "C3", voxel_size=4.0)
    figure = draw_validation(validation, volume)
    shown = slices(figure)
    rows = ("before", "C3 imposed", "difference", "local correlation")
    assert list(shown) == [f"{row}: {plane}" for row in rows for plane in ("xy", "xz", "yz")]
    np.testing.assert_array_equal(shown["difference: xz"].images[0].get_array(),
                                  validation.difference[:, 16])  # fmt: skip
    low, high = shown["difference: xz"].images[0].get_clim()
    assert high - low == pytest.approx(np.ptp(volume), rel=1e-5)
    assert shown["local correlation: xy"].images[0].get_clim() == (0, 1)
    (curves,) = [axis for axis in figure.axes if axis.get_legend()]
    drawn = [line.get_ydata() for line in curves.lines[:3]]
    for line, curve in zip(
        drawn, (validation.copies_fsc, validation.expected_fsc, validation.fsc), strict=True
    ):
        np.testing.assert_array_equal(line, curve[1:])


@pytest.mark.parametrize("group", ["C1", "I"])
def test_pictures_of_any_group_are_written(tmp_path, group):
    save_png(draw_report(make_report(group), make_volume()), tmp_path / "a.png")
    alignment = make_alignment(group)
    save_png(draw_alignment(alignment, make_volume(), make_volume()), tmp_path / "b.png")
    for name in ("a.png", "b.png"):
        picture = imread(tmp_path / name)
        assert picture.shape[1] > 1000
        assert np.ptp(picture[..., :3]) > 0.5
