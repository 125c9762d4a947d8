"""Maps that are previewed, resampled and mirrored; no drawing."""

import numpy as np
import pytest
from napari.layers import Image
from scipy import ndimage
from scipy.spatial.transform import Rotation

from napari_ini3d.errors import MapError
from napari_ini3d.geometry.rigid import RigidTransform
from napari_ini3d.plugin.layers import map_layer
from napari_ini3d.plugin.viewer import layer_transform
from napari_ini3d.plugin.viewer.layer_transform import Origin, transform_by_hand
from napari_ini3d.plugin.viewer.map_axes import MapAxes
from napari_ini3d.plugin.viewer.metadata import set_metadata

N, VOXEL = 24, 3.0
MOTION = RigidTransform(
    Rotation.from_euler("xyz", [20, -35, 50], degrees=True).as_matrix(), np.array([1.5, -2.0, 0.5])
)


def lopsided(n=N):
    z, y, x = np.mgrid[:n, :n, :n] - n // 2
    body = np.exp(-(x**2 / 30 + y**2 / 12 + z**2 / 8))
    return (body + np.exp(-((x - 4) ** 2 + (y - 3) ** 2 + z**2) / 6)).astype(np.float32)


def layer_of(volume, **changes):
    data, keywords, _ = map_layer(volume, VOXEL, "map")
    return Image(data, **(keywords | changes))


def overlap(first, second):
    return (first & second).sum() / (first | second).sum()


def bent():
    """An affine of the user: rotated, scaled and shifted."""
    matrix = np.eye(4)
    matrix[:3, :3] = 1.2 * Rotation.from_euler("x", 30, degrees=True).as_matrix()
    matrix[:3, 3] = (5, -7, 9)
    return matrix


PLACES = [{}, {"scale": (2.0,) * 3}, {"translate": (3.0, -40.0, 8.0)}, {"affine": bent()}]


@pytest.mark.parametrize("changes", PLACES)
def test_a_trial_shows_each_point_at_its_moved_position(changes):
    layer = layer_of(lopsided(), **changes)
    x = np.array([2.0, -3.0, 4.0])
    target = MOTION.rotation @ (x - MOTION.shift)
    before = layer.data_to_world(target[::-1] + N // 2)
    layer_transform.try_motion(layer, MOTION)
    np.testing.assert_allclose(layer.data_to_world(x[::-1] + N // 2), before, atol=1e-6)
    matrix = layer_transform.scene_from_map(layer)
    np.testing.assert_allclose((matrix @ [*x[::-1], 1])[:3], before, atol=1e-6)


@pytest.mark.parametrize("changes", PLACES)
def test_a_trial_leaves_no_trace_when_it_ends(changes):
    layer = layer_of(lopsided(), **changes)
    before = np.array(layer.affine.affine_matrix)
    still = layer_transform.scene_from_map(layer)
    layer_transform.try_motion(layer, MOTION)
    np.testing.assert_allclose(layer_transform.scene_from_map(layer, moved=False), still, atol=1e-9)
    layer_transform.end_trial(layer)
    np.testing.assert_allclose(layer.affine.affine_matrix, before, atol=1e-12)
    assert layer_transform.trial_of(layer).is_identity


def test_a_run_is_moved_like_a_map_and_its_iterations_stay():
    layer = Image(np.stack([lopsided()] * 3), scale=(1, 2, 2, 2), translate=(0, -24, -24, -24))
    layer_transform.try_motion(layer, MOTION)
    x = np.array([2.0, -3.0, 4.0])
    found = layer.data_to_world([2, *(x[::-1] + N // 2)])
    assert found[0] == pytest.approx(2)
    expected = 2 * (MOTION.rotation @ (x - MOTION.shift))[::-1]
    np.testing.assert_allclose(found[1:], expected, atol=1e-6)


def test_the_trial_agrees_with_the_resampled_map():
    volume = lopsided()
    layer = layer_of(volume)
    layer_transform.try_motion(layer, MOTION)
    moved = Origin(volume, False, RigidTransform.identity(), volume).moved(MOTION).result
    indices = np.indices(moved.shape).reshape(3, -1)
    scene = VOXEL * (indices - N // 2)
    back = np.linalg.inv(layer_transform.scene_from_map(layer)) @ np.vstack([scene, np.ones(N**3)])
    shown = ndimage.map_coordinates(volume, back[:3] + N // 2, order=1).reshape(moved.shape)
    level = 0.3 * volume.max()
    overlap = ((shown > level) & (moved > level)).sum() / ((shown > level) | (moved > level)).sum()
    assert overlap > 0.93
    unmoved = ((volume > level) & (moved > level)).sum() / (
        (volume > level) | (moved > level)
    ).sum()
    assert unmoved < 0.7


def test_a_trial_is_kept_when_scale_or_affine_change():
    layer = layer_of(lopsided())
    layer_transform.try_motion(layer, MOTION)
    layer.scale = (5.0,) * 3
    layer.translate = (-5.0 * (N // 2),) * 3
    layer_transform.place_trial(layer)
    x = np.array([2.0, -3.0, 4.0])
    target = MOTION.rotation @ (x - MOTION.shift)
    np.testing.assert_allclose(layer.data_to_world(x[::-1] + N // 2), 5 * target[::-1], atol=1e-6)
    layer.affine = bent() @ np.array(layer.affine.affine_matrix)
    layer_transform.rebase_trial(layer)
    np.testing.assert_allclose(layer_transform.base_affine(layer), bent(), atol=1e-9)
    assert not layer_transform.trial_of(layer).is_identity


def test_motions_are_chained_and_mirrored():
    x = np.array([2.0, -3.0, 4.0])
    second = transform_by_hand(np.array([10, 0, 0]), np.array([0, 1.0, 0]))
    both = second.after(MOTION)
    once = MOTION.rotation @ (x - MOTION.shift)
    twice = Rotation.from_euler("x", 10, degrees=True).apply(once) + np.array([0, 1, 0])
    np.testing.assert_allclose(both.rotation @ (x - both.shift), twice, atol=1e-9)
    flip = np.diag([1, 1, -1])
    mirrored = MOTION.mirrored()
    np.testing.assert_allclose(
        mirrored.rotation @ (flip @ x - mirrored.shift), flip @ once, atol=1e-9
    )


def test_two_motions_resample_the_original_once():
    volume = lopsided()
    start = Origin(volume, False, RigidTransform.identity(), volume)
    second = transform_by_hand(np.array([10, 0, 5]), np.array([0, 1.0, 0]))
    step_by_step = start.moved(MOTION).moved(second)
    at_once = start.moved(second.after(MOTION))
    np.testing.assert_array_equal(step_by_step.result, at_once.result)


def test_flipping_twice_restores_the_map_and_once_commutes_with_moving():
    volume = lopsided()
    moved = Origin(volume, False, RigidTransform.identity(), volume).moved(MOTION)
    flipped = moved.mirrored()
    assert flipped.flipped
    again = flipped.moved(RigidTransform.identity())  # resampled from the mirrored map
    np.testing.assert_allclose(again.result, flipped.result, atol=2e-3)
    np.testing.assert_array_equal(flipped.mirrored().result, moved.result)
    assert not flipped.mirrored().flipped


def test_axes_move_with_their_map():
    axes = MapAxes.of_setting("D2", "detected").moved(MOTION)
    np.testing.assert_allclose(axes.axes[0].direction, MOTION.rotation[:, 2], atol=1e-9)
    np.testing.assert_allclose(axes.centre, -MOTION.rotation @ MOTION.shift, atol=1e-9)
    assert axes.mirrored().centre[2] == -axes.centre[2]
    assert axes.found
    assert not MapAxes.of_setting("D2").found


def test_an_origin_is_out_of_date_once_the_layer_has_other_values():
    layer = layer_of(lopsided())
    moved = Origin(layer.data, False, RigidTransform.identity(), layer.data).moved(MOTION)
    layer.data = moved.result
    set_metadata(layer, origin=moved)
    assert layer_transform.origin_of(None, layer) is moved
    layer.data = lopsided() * 2
    assert layer_transform.origin_of(None, layer).motion.is_identity


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"scale": (1.0, 1.0, 2.0)}, "differs between the axes"),
        ({"units": ("second",) * 3}, "expected one of angstrom"),
    ],
)
def test_a_layer_without_a_voxel_size_is_refused(changes, message):
    with pytest.raises(MapError, match=message):
        layer_transform.voxel_size_of(layer_of(lopsided(), **changes))


def test_nanometres_are_converted():
    assert layer_transform.voxel_size_of(layer_of(lopsided(), units=("nm",) * 3)) == 10 * VOXEL


def test_a_map_that_is_not_finite_is_refused():
    volume = lopsided()
    volume[3, 3, 3] = np.nan
    with pytest.raises(MapError, match="NaN"):
        layer_transform.origin_of(None, layer_of(volume))


def test_only_cubic_images_are_map_layers():
    assert layer_transform.is_map_layer(layer_of(lopsided()))
    assert not layer_transform.is_map_layer(Image(np.zeros((8, 8))))
    assert not layer_transform.is_map_layer(Image(np.zeros((4, 8, 9))))
    assert not layer_transform.is_map_layer(
        Image(np.zeros((9, 8, 8, 8)), metadata={"ini3d": {"kind": "particles"}})
    )
