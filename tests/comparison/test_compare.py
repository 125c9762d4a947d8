import numpy as np
import pytest

from napari_ini3d.comparison.compare import compare_maps
from napari_ini3d.errors import MapError, SettingsError
from napari_ini3d.fourier.resample import mirror_map, rotate_map
from napari_ini3d.simulation import make_phantom

VOXEL_SIZE = 4.0
DENSITY = make_phantom("C1", seed=4).density(48, VOXEL_SIZE, 9.0)
ROTATION = np.array([[0.0, -1, 0], [0, 0, -1], [1, 0, 0]])


def test_a_map_equals_itself_as_it_stands():
    result = compare_maps(DENSITY, DENSITY, voxel_size=VOXEL_SIZE, align=False)
    assert np.allclose(result.fsc, 1)
    assert result.correlation == pytest.approx(1)
    assert result.resolution_half == result.resolution_0143 == 2 * VOXEL_SIZE
    assert result.registration is None
    assert np.array_equal(result.aligned, DENSITY)


def test_a_rotated_mirror_image_differs_as_it_stands_and_agrees_when_aligned():
    other = rotate_map(mirror_map(DENSITY), ROTATION, (1.0, -0.5, 2.0))
    result = compare_maps(DENSITY, other, voxel_size=VOXEL_SIZE, mask_diameter=150)
    assert result.mirrored
    assert result.fsc_as_is[5:15].max() < 0.5
    assert result.fsc[1:19].min() > 0.98
    assert result.mean_fsc(20.0) > 0.995
    assert result.correlation > 0.99
    assert result.resolution_half < 10.0


def test_resolution_is_where_the_signal_ends():
    coarse = make_phantom("C1", seed=4).density(48, VOXEL_SIZE, 16.0)
    noise = np.random.default_rng(0).standard_normal(DENSITY.shape) * DENSITY.std() * 0.3
    result = compare_maps(DENSITY, coarse + noise, voxel_size=VOXEL_SIZE, align=False)
    assert 12.0 < result.resolution_half < 20.0
    assert result.resolution_0143 <= result.resolution_half
    assert result.frequency[-1] == pytest.approx(1 / (2 * VOXEL_SIZE))
    assert len(result.frequency) == len(result.fsc) == 25


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"voxel_size": 0.0}, "voxel size"),
        ({"voxel_size": np.nan}, "voxel size"),
        ({"voxel_size": 4.0, "mask_diameter": 500.0}, "mask diameter is 500"),
        ({"voxel_size": 4.0, "mask_diameter": -1.0}, "mask diameter is -1"),
    ],
)
def test_sizes_that_cannot_be_true_are_refused(options, message):
    with pytest.raises(SettingsError, match=message):
        compare_maps(DENSITY, DENSITY, **options)


def test_maps_of_different_boxes_are_refused():
    with pytest.raises(MapError, match="one size"):
        compare_maps(DENSITY, DENSITY[:40, :40, :40], voxel_size=VOXEL_SIZE)
