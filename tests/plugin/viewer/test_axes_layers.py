"""Axes are drawn where they project to, for maps that are scaled, moved and previewed."""

import numpy as np
import pytest
from fake_symmetry import make_self_rotation
from napari.utils.colormaps.standardize_color import transform_color
from scipy.spatial.transform import Rotation

from napari_ini3d.geometry.rigid import RigidTransform
from napari_ini3d.plugin.viewer import axes_layers, axes_mesh, map_layers
from napari_ini3d.plugin.viewer.layer_transform import try_motion
from napari_ini3d.plugin.viewer.map_axes import MapAxes
from napari_ini3d.plugin.viewer.metadata import get_metadata
from napari_ini3d.symmetry.records import FoundAxis

N, VOXEL, SIDE = 24, 3.0, 240
RADIUS = 8.0  # voxels


def blob():
    z, y, x = np.mgrid[:N, :N, :N] - N // 2
    return np.exp(-(x**2 + y**2 + z**2) / 18).astype(np.float32)


@pytest.fixture
def layer(viewer):
    layer = map_layers.show_map(viewer, blob(), VOXEL, "map")
    layer.visible = True
    return layer


def photograph(viewer):
    viewer.scene.camera.center = (0, 0, 0)
    viewer.scene.camera.zoom = 2.0
    picture = viewer.screenshot(canvas_only=True, size=(SIDE, SIDE), flash=False)
    return picture[..., :3].astype(float)


def pixel(point):
    """Where a point (x, y, z) of the scene, Å, is seen: x to the right, y up."""
    return round(SIDE / 2 - 2.0 * point[1]), round(SIDE / 2 + 2.0 * point[0])


def share_in_colour(picture, points, colour):
    """Share of points about which a pixel has a colour's hue."""
    wanted = transform_color(colour)[0, :3]
    found = []
    for row, column in map(pixel, points):
        near = picture[row - 2 : row + 3, column - 2 : column + 3].reshape(-1, 3)
        bright = near[near.max(axis=1) > 60]
        if len(bright):
            hue = bright / np.linalg.norm(bright, axis=1, keepdims=True)
            found.append((hue @ (wanted / np.linalg.norm(wanted))).max() > 0.985)
        else:
            found.append(False)
    return float(np.mean(found))


def along(direction, low, high, centre=(0, 0, 0)):
    return [np.array(centre) + t * np.array(direction) for t in np.linspace(low, high, 12)]


def test_x_and_y_are_drawn_in_their_colours_where_they_project_to(viewer, layer):
    axes_layers.show_frame(viewer, layer, RADIUS)
    picture = photograph(viewer)
    reach = 1.3 * RADIUS * VOXEL
    for letter, direction in (("X", (1, 0, 0)), ("Y", (0, 1, 0))):
        points = along(direction, 0.3 * reach, reach)
        assert share_in_colour(picture, points, axes_mesh.FRAME_COLOURS[letter]) == 1
        other = axes_mesh.FRAME_COLOURS["Y" if letter == "X" else "X"]
        assert share_in_colour(picture, points, other) < 0.2


def test_the_letters_face_the_camera_from_every_side(viewer, layer):
    (part,) = [axes_layers.show_frame(viewer, layer, RADIUS)]
    for angles in ((0, 0, 90), (30, 60, 40), (-70, 20, 110)):
        viewer.scene.camera.angles = angles
        letters = np.array(part.vertices)[-32:] * VOXEL  # 8 strokes with 4 corners
        view = np.array(viewer.scene.camera.view_direction)
        for strokes in (slice(0, 8), slice(8, 20), slice(20, 32)):  # X, Y, Z
            depth = letters[strokes] @ view
            assert np.ptp(depth) < 1e-3 * RADIUS * VOXEL
            height = letters[strokes] @ np.array(viewer.scene.camera.up_direction)
            assert np.ptp(height) > 0.2 * RADIUS * VOXEL  # upright, its strokes included


def test_the_letters_are_not_mirrored(viewer, layer):
    """The stroke of Z goes from the lower left to the upper right."""
    layer.visible = False
    part = axes_layers.show_frame(viewer, layer, RADIUS)
    part.visible = True
    viewer.scene.camera.angles = (0, 60, 0)
    z = np.array(part.vertices)[-12:][4:8] * VOXEL  # its second stroke
    up = np.array(viewer.scene.camera.up_direction)[::-1]
    right = np.cross(np.array(viewer.scene.camera.view_direction)[::-1], up)
    across, along = z[:, ::-1] @ right, z[:, ::-1] @ up
    assert np.corrcoef(across, along)[0, 1] > 0.5


def test_axes_follow_a_map_that_is_scaled_and_moved(viewer, layer):
    axes_layers.show_frame(viewer, layer, RADIUS)
    layer.scale = (2.0,) * 3
    layer.translate = tuple(np.array([0.0, 12.0, -15.0]) - N // 2 * 2.0)  # z, y, x
    axes_layers.follow_map(viewer, layer)
    picture = photograph(viewer)
    centre = (-15.0, 12.0, 0.0)
    points = along((1, 0, 0), 10, 1.3 * RADIUS * 2.0, centre)  # beside the letter Z
    assert share_in_colour(picture, points, axes_mesh.FRAME_COLOURS["X"]) == 1
    where_it_was = along((1, 0, 0), 10, 1.3 * RADIUS * VOXEL)
    assert share_in_colour(picture, where_it_was, axes_mesh.FRAME_COLOURS["X"]) < 0.2


def test_symmetry_axes_move_with_a_trial_and_x_y_z_stay(viewer, layer):
    direction = np.array([1.0, 1.0, 0.0]) / np.sqrt(2)
    found = MapAxes("C4", (FoundAxis(4, tuple(direction.tolist()), 1.0),))
    axes_layers.show_frame(viewer, layer, RADIUS)
    axes_layers.show_symmetry_axes(viewer, layer, found, RADIUS)
    reach = 1.05 * RADIUS * VOXEL
    colour = axes_mesh.order_colour(4)
    picture = photograph(viewer)
    assert share_in_colour(picture, along(direction, 0.4 * reach, reach), colour) == 1
    assert share_in_colour(picture, along(-direction, 0.4 * reach, reach), colour) == 1
    quarter = Rotation.from_euler("z", 90, degrees=True).as_matrix()
    try_motion(layer, RigidTransform(quarter, np.zeros(3)))
    axes_layers.follow_map(viewer, layer)
    picture = photograph(viewer)
    rotated = quarter @ direction
    assert share_in_colour(picture, along(rotated, 0.4 * reach, reach), colour) == 1
    assert share_in_colour(picture, along(direction, 0.4 * reach, reach), colour) < 0.2
    points = along((1, 0, 0), 0.4 * reach, reach)
    assert share_in_colour(picture, points, axes_mesh.FRAME_COLOURS["X"]) == 1


def test_x_y_z_and_symmetry_axes_are_drawn_at_once_as_one_after_the_other(viewer, layer):
    found = MapAxes.of_setting("D2", "detected")
    axes_layers.show_frame(viewer, layer, RADIUS)
    apart = axes_layers.show_symmetry_axes(viewer, layer, found, RADIUS)
    axes_layers.hide_parts(viewer, layer, axes_layers.LINE_PARTS)
    inserted = []
    viewer.layers.events.inserted.connect(lambda event: inserted.append(event.value))
    at_once = axes_layers.show_symmetry_axes(viewer, layer, found, RADIUS, frame=True)
    assert inserted == [at_once]
    np.testing.assert_array_equal(at_once.vertices, apart.vertices)
    np.testing.assert_array_equal(at_once.vertex_colors, apart.vertex_colors)


def test_the_symbols_are_at_both_ends(viewer, layer):
    found = MapAxes("C3", (FoundAxis(3, (0.0, 1.0, 0.0), 1.0),))
    axes_layers.show_symmetry_axes(viewer, layer, found, RADIUS)
    picture = photograph(viewer)
    end = 1.2 * RADIUS * VOXEL
    width = []
    for sign in (-1, 1):
        row, _ = pixel((0, sign * end, 0))
        width.append((picture[row].max(axis=-1) > 60).sum())
        beside, _ = pixel((0, sign * 0.9 * end, 0))
        assert width[-1] > 3 * (picture[beside].max(axis=-1) > 60).sum()
    assert min(width) >= 6


def test_the_self_rotation_function_is_bright_at_its_axis(viewer, layer):
    layer.visible = False
    found = make_self_rotation([FoundAxis(2, (0.0, 0.0, 1.0), 1.0)])
    sphere = axes_layers.show_self_rotation(
        viewer, layer, found, 2, radius=RADIUS, centre=np.zeros(3)
    )
    sphere.visible = True
    picture = photograph(viewer).max(axis=-1)
    middle = picture[SIDE // 2, SIDE // 2]
    row, column = pixel((0.7 * RADIUS * VOXEL, 0, 0))
    assert middle > 180
    assert picture[row, column] < 0.5 * middle
    again = axes_layers.show_self_rotation(
        viewer, layer, found, 3, radius=RADIUS, centre=np.zeros(3)
    )
    assert again is sphere
    assert photograph(viewer).max(axis=-1)[SIDE // 2, SIDE // 2] < 0.5 * middle


def test_axes_share_units_with_the_map_and_are_removed_with_it(viewer, layer):
    axes_layers.show_frame(viewer, layer, RADIUS)
    axes_layers.show_symmetry_axes(viewer, layer, MapAxes.of_setting("O", "detected"), RADIUS)
    parts = axes_layers.parts_of(viewer, layer)
    assert len(parts) == 1
    for part in parts:
        assert [str(unit) for unit in part.units] == ["angstrom"] * 3
    assert get_metadata(parts[0], "drawn").frame
    assert len(get_metadata(parts[0], "drawn").axes.axes) == 13
    viewer.layers.remove(layer)
    axes_layers.remove_orphans(viewer)
    assert len(viewer.layers) == 0


def test_showing_axes_again_replaces_them(viewer, layer):
    for group in ("D2", "C3"):
        axes_layers.show_symmetry_axes(viewer, layer, MapAxes.of_setting(group), RADIUS)
    (ideal,) = axes_layers.parts_of(viewer, layer)
    assert get_metadata(ideal, "drawn").axes.group == "C3"
    axes_layers.show_symmetry_axes(viewer, layer, MapAxes.of_setting("C1"), RADIUS)
    assert axes_layers.parts_of(viewer, layer) == []


def test_axes_of_a_group_that_does_not_hold_and_ideal_axes_are_dashed(viewer, layer):
    gaps = {}
    for status in ("detected", "rejected", "ideal"):
        axes = MapAxes("C2", (FoundAxis(2, (0.0, 1.0, 0.0), 1.0),), status=status)
        layer.visible = False
        shown = axes_layers.show_symmetry_axes(viewer, layer, axes, RADIUS)
        shown.visible = True
        picture = photograph(viewer)
        rows = [pixel(point)[0] for point in along((0, 1, 0), -20, 20)]
        column = pixel((0, 0, 0))[1]
        line = picture[min(rows) : max(rows), column].max(axis=-1) > 60
        gaps[status] = int((np.diff(line.astype(int)) < 0).sum())
        assert shown.name_overlay.visible == (status != "detected")
        axes_layers.hide_parts(viewer, layer, axes_layers.ALL_PARTS)
    assert gaps["detected"] == 0
    assert gaps["rejected"] >= 3
    assert gaps["ideal"] >= 3
