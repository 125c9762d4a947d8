import math

import numpy as np
import pytest

pytest.importorskip("napari")

from qtpy.QtCore import QPoint, QPointF, Qt
from qtpy.QtGui import QImage, QPainter

from napari_ini3d.geometry.healpix import pixel_directions
from napari_ini3d.plugin.convergence.angular_distribution import (
    AngularDistribution,
    mollweide_direction,
    mollweide_position,
    place_labels,
    pool_directions,
    relative_coverage,
    sphere_pixels,
)
from napari_ini3d.plugin.viewer.plot_style import PlotStyle


def direction_of(rot, tilt):
    rot, tilt = math.radians(rot), math.radians(tilt)
    x, y = math.sin(tilt) * math.cos(rot), math.sin(tilt) * math.sin(rot)
    return np.array([x, y, math.cos(tilt)])


def test_positions_and_directions_are_inverse_to_each_other():
    longitude, latitude = np.meshgrid(np.arange(-170, 171, 20), np.arange(-80, 81, 20))
    directions = mollweide_direction(*mollweide_position(longitude, latitude))
    found = np.rad2deg(np.arctan2(directions[..., 1], directions[..., 0]))
    np.testing.assert_allclose(found, longitude, atol=1e-6)
    np.testing.assert_allclose(np.rad2deg(np.arcsin(directions[..., 2])), latitude, atol=1e-6)


def test_the_equator_is_twice_as_long_as_the_middle_meridian():
    x, y = mollweide_position(np.array([180.0, 0.0]), np.array([0.0, 90.0]))
    np.testing.assert_allclose([x[0], y[0], x[1], y[1]], [1, 0, 0, 1], atol=1e-6)


def test_outside_the_ellipse_there_is_no_direction():
    assert np.isnan(mollweide_direction(np.array([0.9]), np.array([0.9]))).all()


def test_pixels_of_equal_solid_angle_take_equal_areas():
    pixels = sphere_pixels(2, 200)
    assert pixels.shape == (200, 400)
    areas = np.bincount(pixels[pixels >= 0], minlength=48)
    np.testing.assert_allclose(areas, areas.mean(), rtol=0.15)
    assert (pixels >= 0).mean() == pytest.approx(math.pi / 4, abs=0.002)


def test_the_pole_is_at_the_top_and_longitude_grows_to_the_right():
    pixels, centres = sphere_pixels(4, 100), pixel_directions(4)
    assert centres[pixels[2, 100]][2] > 0.9
    assert centres[pixels[50, 150]] @ direction_of(90, 90) > 0.95


def test_merged_pixels_keep_their_weight():
    sparse = np.zeros(768)
    sparse[100:104] = 1
    pooled = pool_directions(sparse)
    assert pooled.shape == (192,)
    assert pooled[25] == 4
    assert pool_directions(np.full(768, 10.0)).shape == (768,)


def test_uniform_coverage_is_one_everywhere():
    np.testing.assert_array_equal(relative_coverage(np.full(48, 3.0)), np.ones(48))
    np.testing.assert_array_equal(relative_coverage(np.zeros(48)), np.zeros(48))


@pytest.fixture
def sphere(qtbot):
    sphere = AngularDistribution(PlotStyle.of_theme("dark"))
    qtbot.addWidget(sphere)
    sphere.resize(420, 400)
    return sphere


def test_a_preferred_orientation_is_bright_at_its_position(sphere):
    counts = np.full(768, 10.0)
    hot = int(np.argmax(pixel_directions(8) @ direction_of(75, 50)))
    counts[hot] = 100
    sphere.show_counts(counts)
    (x,), (y,) = mollweide_position(np.array([75.0]), np.array([40.0]))
    place = sphere.sphere_place()
    point = QPointF(
        place.center().x() + x * place.width() / 2, place.center().y() - y * place.height() / 2
    )
    assert sphere.text_at(point) == "rot 75°, tilt 50°: 9.9 times uniform coverage"
    image = sphere.grab().toImage()
    ratio = sphere.devicePixelRatio()
    bright = image.pixelColor(int(point.x() * ratio), int(point.y() * ratio)).lightness()
    mirrored = 2 * place.center().x() - point.x()
    dark = image.pixelColor(int(mirrored * ratio), int(point.y() * ratio)).lightness()
    assert bright > dark + 40
    assert sphere.text_at(QPointF(1, 1)) == ""


def test_without_directions_a_message_is_painted(sphere):
    assert sphere.text_at(QPointF(200, 200)) == ""
    image = sphere.grab().toImage()
    middle = [image.pixelColor(x, image.height() // 2).name() for x in range(image.width())]
    rows = range(image.height() // 2 - 10, image.height() // 2 + 10)
    colours = {image.pixelColor(x, y).name() for x in range(image.width()) for y in rows}
    assert len(colours) > 1, "a text is painted in the middle"
    assert {image.pixelColor(x, 5).name() for x in range(image.width())} == {middle[0]}


def test_rot_and_tilt_are_labelled_where_they_are_and_labels_do_not_overlap(qtbot):
    panel = AngularDistribution(PlotStyle("#262930", "#f0f1f2", dark=True))
    qtbot.addWidget(panel)
    panel.resize(420, 320)
    panel.show_counts(np.ones(768))
    place = panel.sphere_place()
    for rot in (-120, -60, 60, 120):
        (point,) = panel.points(place, np.array([float(rot)]), np.array([0.0]))
        found = panel.direction_at(point)
        np.testing.assert_allclose(found, direction_of(rot, 90), atol=1e-6)
    image = QImage(420, 320, QImage.Format.Format_RGB32)
    painter = QPainter(image)
    texts = ["rot 0°", "60°", "120°", "tilt 60°"]
    points = panel.points(place, np.array([0.0, 60, 120, 0]), np.array([0.0, 0, 0, 30]))
    boxes = place_labels(points, texts, painter)
    crowded = place_labels([points[0]] * 4, texts, painter)
    painter.end()
    assert [text for _, text in boxes] == texts
    assert [text for _, text in crowded] == ["rot 0°"]


def test_a_click_tells_the_direction_and_outside_nothing(qtbot):
    panel = AngularDistribution(PlotStyle("#262930", "#f0f1f2", dark=True))
    qtbot.addWidget(panel)
    panel.resize(420, 320)
    panel.show()
    panel.show_counts(np.ones(768))
    found = []
    panel.direction_clicked.connect(found.append)
    qtbot.mouseClick(panel, Qt.MouseButton.LeftButton, pos=QPoint(2, 2))
    assert found == []
    middle = panel.sphere_place().center().toPoint()
    qtbot.mouseClick(panel, Qt.MouseButton.LeftButton, pos=middle)
    assert found[0] @ direction_of(0, 90) > 0.999
