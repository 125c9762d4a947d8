import mrcfile
import numpy as np
import pytest

from napari_ini3d.errors import MapError
from napari_ini3d.io.mrc.maps import read_map, write_map
from napari_ini3d.plugin.layers import map_layer
from napari_ini3d.plugin.reader import read_layers
from napari_ini3d.plugin.writer import write_layer

VOLUME = np.random.default_rng(3).normal(size=(16, 16, 16)).astype(np.float32)
PLAIN = {"name": "map", "scale": [2.0] * 3, "units": ["angstrom"] * 3, "translate": [0.0] * 3}


def rotated(angle=30):
    matrix = np.eye(4)
    c, s = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    matrix[1:3, 1:3] = [[c, -s], [s, c]]
    return matrix


def test_a_layer_is_saved_with_its_scale_as_voxel_size(tmp_path):
    data, keywords, _ = map_layer(VOLUME, 3.4, "map")
    path = str(tmp_path / "map.mrc")
    assert write_layer(path, data, keywords) == [path]
    found = read_map(path)
    np.testing.assert_array_equal(found.data, VOLUME)
    assert found.voxel_size == pytest.approx(3.4, abs=1e-5)


def test_a_map_that_was_read_is_saved_with_its_origin(tmp_path):
    write_map(tmp_path / "map.mrc", VOLUME, 2.0, origin=(-16.0, 8.0, 3.5))
    ((data, keywords, _),) = read_layers(str(tmp_path / "map.mrc"))
    write_layer(str(tmp_path / "saved.mrc"), data, PLAIN | {"metadata": keywords["metadata"]})
    assert read_map(tmp_path / "saved.mrc").origin == (-16, 8, 3.5)


@pytest.mark.parametrize(("unit", "voxel_size"), [("nanometer", 4.0), ("pixel", 0.4)])
def test_units_become_angstrom(tmp_path, unit, voxel_size):
    path = tmp_path / "map.mrc"
    write_layer(str(path), VOLUME, PLAIN | {"scale": [0.4] * 3, "units": [unit] * 3})
    assert read_map(path).voxel_size == pytest.approx(voxel_size)


def test_labels_and_masks_are_saved_as_numbers(tmp_path):
    write_layer(str(tmp_path / "mask.mrc"), VOLUME > 0, PLAIN)
    with mrcfile.open(tmp_path / "mask.mrc") as file:
        np.testing.assert_array_equal(file.data, (VOLUME > 0).astype(np.float32))


REFUSED_DATA = {
    "2D": (VOLUME[0], {"scale": [2.0] * 2}, "16 x 16 values; expected a cubic map"),
    "not cubic": (VOLUME[:12], {}, "12 x 16 x 16"),
    "4D": (VOLUME[None], {"scale": [1.0, 2, 2, 2]}, "a stack of maps"),
    "colour": (VOLUME[..., :3], {"rgb": True}, "a colour image"),
    "complex": (VOLUME * 1j, {}, "complex"),
    "NaN": (np.where(VOLUME > 2, np.nan, VOLUME), {}, r"\d+ voxels are NaN"),
}
REFUSED_PLACE = {
    "anisotropic": ({"scale": [2.0, 2.0, 3.0]}, "2 x 2 x 3 differs"),
    "odd unit": ({"units": ["meter"] * 3}, "units meter"),
    "mixed units": ({"units": ["pixel", "angstrom", "angstrom"]}, "units angstrom, pixel"),
    "affine": ({"affine": rotated()}, "rotated, sheared or has an affine"),
    "rotated": ({"rotate": rotated()[:3, :3]}, "rotated, sheared or has an affine"),
    "sheared": ({"shear": [0.1, 0, 0]}, "rotated, sheared or has an affine"),
    "moved": ({"translate": [-16.0, -16.0, -10.0]}, r"moved \(translate -16, -16, -10\)"),
}


@pytest.mark.parametrize("case", REFUSED_DATA)
def test_data_other_than_a_real_cubic_map_is_refused(tmp_path, case):
    data, changes, message = REFUSED_DATA[case]
    with pytest.raises(MapError, match=f"map: .*{message}"):
        write_layer(str(tmp_path / "map.mrc"), data, PLAIN | changes)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("case", REFUSED_PLACE)
def test_a_transform_that_a_file_cannot_express_is_refused(tmp_path, case):
    changes, message = REFUSED_PLACE[case]
    with pytest.raises(MapError, match=message):
        write_layer(str(tmp_path / "map.mrc"), VOLUME, PLAIN | changes)
    assert not list(tmp_path.iterdir())
