"""Maps of any box and density, prepared for analysis and brought back."""

import mrcfile
import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from napari_ini3d.errors import MapError
from napari_ini3d.io.mrc.maps import read_map, write_map
from napari_ini3d.io.mrc.prepared import prepare_map


def _particle(shape, centre=(0, 0, 0), spread=3.0):
    """A blob at `centre` (z, y, x) from voxel n // 2."""
    grids = np.meshgrid(*(np.arange(n) - n // 2 for n in shape), indexing="ij")
    square = sum((g - c) ** 2 for g, c in zip(grids, centre, strict=True))
    return np.exp(-square / (2 * spread**2)).astype(np.float32)


def _write(tmp_path, data, voxel_size=2.0, origin=(0, 0, 0)):
    path = tmp_path / "m.mrc"
    with mrcfile.new(path, data=data.astype(np.float32), overwrite=True) as file:
        file.voxel_size = voxel_size
        file.header.origin = origin
    return path


@pytest.mark.parametrize("shape", [(33, 33, 33), (36, 40, 42), (31, 32, 33), (32, 32, 32)])
def test_a_map_of_any_box_is_padded_about_its_centre_and_brought_back(tmp_path, shape):
    data = _particle(shape, (1, -2, 3))
    found = prepare_map(_write(tmp_path, data))
    side = max(shape) + max(shape) % 2
    np.testing.assert_allclose(found.data, _particle((side,) * 3, (1, -2, 3)), atol=2e-3)
    np.testing.assert_array_equal(found.restore(found.data), data)


@pytest.mark.parametrize(("scale", "added"), [(-1, 0), (50, 100), (1, 1), (-20, 7)])
def test_background_and_sign_are_removed_and_brought_back(tmp_path, scale, added):
    data = scale * _particle((32, 32, 32)) + added
    found = prepare_map(_write(tmp_path, data))
    np.testing.assert_allclose(
        found.data, abs(scale) * _particle((32,) * 3), atol=1e-3 * abs(scale)
    )
    assert found.inverted == (scale < 0)
    np.testing.assert_allclose(found.restore(found.data), data, rtol=1e-5, atol=1e-5)


def test_an_inverted_map_is_said(tmp_path, caplog):
    prepare_map(_write(tmp_path, -_particle((32, 32, 32))))
    assert "density is negative" in caplog.text


def test_noise_is_not_taken_for_an_inverted_map(tmp_path):
    for seed in range(5):
        noise = gaussian_filter(np.random.default_rng(seed).normal(size=(32,) * 3), 1)
        assert not prepare_map(_write(tmp_path, noise)).inverted


def test_a_result_that_does_not_fit_the_box_keeps_the_cube_and_is_said(tmp_path, caplog):
    found = prepare_map(_write(tmp_path, _particle((40, 40, 20))))
    turned = _particle((40, 40, 40), (0, 0, 15))
    assert found.restore(turned).shape == (40, 40, 40)
    assert "outside the box of the map, 20 x 40 x 40 voxels" in caplog.text


@pytest.mark.parametrize(("centre", "origin"), [((0, 0, 0), (5, 6, 7)), ((0, 0, 15), (-15, 6, 7))])
def test_a_result_is_written_with_the_origin_of_the_file(tmp_path, centre, origin):
    """In a larger box, the first voxel is elsewhere."""
    found = prepare_map(_write(tmp_path, _particle((40, 40, 20)), origin=(5, 6, 7)))
    found.write(tmp_path / "out.mrc", _particle((40, 40, 40), centre))
    written = read_map(tmp_path / "out.mrc", any_box=True)
    assert written.origin == origin
    assert written.voxel_size == 2.0
    assert mrcfile.validate(tmp_path / "out.mrc")


def test_a_box_that_is_too_flat_is_refused(tmp_path):
    with pytest.raises(MapError, match="400 x 400 x 2 voxels"):
        prepare_map(_write(tmp_path, np.random.default_rng(0).normal(size=(2, 400, 400))))


def test_a_mask_is_padded_as_its_map_was(tmp_path):
    found = prepare_map(_write(tmp_path, _particle((33, 33, 31))))
    padded = found.pad(np.ones((33, 33, 31), np.float32))
    assert padded.sum() == 33 * 33 * 31
    np.testing.assert_array_equal(found.restore(padded), np.ones((33, 33, 31)))


@pytest.mark.parametrize(
    ("voxel_size", "words"),
    [(0.25, "nm; give --pixel-size 2.5"), (340.0, "pm; give --pixel-size 3.4"), (2.5, "")],
)
def test_a_voxel_size_in_another_unit_is_said(tmp_path, caplog, voxel_size, words):
    write_map(tmp_path / "m.mrc", np.random.default_rng(1).normal(size=(32,) * 3), voxel_size)
    prepare_map(tmp_path / "m.mrc")
    assert (f"looks like {words}" in caplog.text) is bool(words)


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("place", [(20, 9, 30), (0, 0, 0), (31, 31, 1)])
def test_a_voxel_that_stands_out_from_all_around_it_is_said(tmp_path, caplog, place, sign):
    data = _particle((32, 32, 32)) + 5
    data[place] += 50 * sign
    prepare_map(_write(tmp_path, data))
    z, y, x = place
    assert f"single voxels (1, the first at x {x}, y {y}, z {z})" in caplog.text


def test_a_dense_place_of_several_voxels_is_not_taken_for_a_single_voxel(tmp_path, caplog):
    data = _particle((32, 32, 32))
    data[20:22, 9:11, 29:31] += 50
    prepare_map(_write(tmp_path, data))
    assert "single voxels" not in caplog.text
