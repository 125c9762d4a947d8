"""Headers as programs really write them."""

import bz2
import gzip

import mrcfile
import numpy as np
import pytest
from mrc_files import mrc_bytes

from napari_ini3d.errors import MapError, StackError
from napari_ini3d.io.mrc.maps import read_map
from napari_ini3d.io.mrc.stack import ImageStack, read_stack_header

DATA = np.random.default_rng(5).normal(size=(16, 18, 20)).astype(np.float32)
CUBE = np.random.default_rng(6).normal(size=(16, 16, 16)).astype(np.float32)
STAMP, MAP_ID, NSYMBT, AXES, CELL, RANGE, IMOD = 212, 208, 92, 64, 40, 76, 152


def _edited(tmp_path, *changes, data=CUBE):
    """A map of 2 Å voxels with bytes of its header replaced."""
    path = tmp_path / "m.mrc"
    with mrcfile.new(path, data=data, overwrite=True) as file:
        file.voxel_size = 2.0
    raw = bytearray(path.read_bytes())
    for place, values in changes:
        raw[place : place + len(values)] = values
    path.write_bytes(raw)
    return path


def _words(*values, kind="<i4"):
    return np.array(values, kind).tobytes()


@pytest.mark.parametrize(
    "stamp",
    [
        b"\x44\x44\0\0",
        b"\x44\x41\0\0",
        b"\x44\x20\x20\x20",
        b"\x44\0\0\0",
        bytes(4),
        b"\xff" * 4,
    ],
)
def test_any_stamp_is_read(tmp_path, stamp):
    np.testing.assert_array_equal(read_map(_edited(tmp_path, (STAMP, stamp))).data, CUBE)


@pytest.mark.parametrize("stamp", [b"\x11\x11\0\0", bytes(4), b"\x44\x44\0\0"])
def test_a_big_endian_map_is_read_whatever_its_stamp(tmp_path, stamp):
    raw = bytearray(mrc_bytes(CUBE, order=">"))
    raw[STAMP : STAMP + 4] = stamp
    raw[CELL : CELL + 12] = _words(32, 32, 32, kind=">f4")
    (tmp_path / "m.mrc").write_bytes(raw)
    found = read_map(tmp_path / "m.mrc")
    np.testing.assert_array_equal(found.data, CUBE)
    assert found.voxel_size == 2.0


def test_the_word_map_may_be_missing(tmp_path):
    np.testing.assert_array_equal(read_map(_edited(tmp_path, (MAP_ID, bytes(4)))).data, CUBE)


@pytest.mark.parametrize("axes", [(1, 2, 3), (3, 2, 1), (2, 1, 3), (3, 1, 2), (2, 3, 1), (1, 3, 2)])
def test_axes_are_brought_into_the_order_x_y_z(tmp_path, axes):
    place = {1: 2, 2: 1, 3: 0}  # of x, y, z in an array (z, y, x)
    stored = DATA.transpose([place[axis] for axis in reversed(axes)])  # sections, rows, columns
    path = _edited(tmp_path, (AXES, _words(*axes)), data=np.ascontiguousarray(stored))
    cell = [2.0 * side for side in reversed(DATA.shape)]
    raw = bytearray(path.read_bytes())
    raw[28:40] = _words(*reversed(DATA.shape))
    raw[CELL : CELL + 12] = _words(*cell, kind="<f4")
    path.write_bytes(raw)
    found = read_map(path, any_box=True)
    np.testing.assert_array_equal(found.data, DATA)
    assert found.voxel_size == 2.0


def test_the_origin_is_that_field_or_else_the_start_of_the_grid_along_each_axis(tmp_path):
    start, origin = 16, 196
    words = _words(-8, 4, -6)
    assert read_map(_edited(tmp_path, (start, words))).origin == (-16, 8, -12)
    swapped = _edited(tmp_path, (start, words), (AXES, _words(2, 1, 3)))
    assert read_map(swapped).origin == (8, -16, -12)
    other = _edited(tmp_path, (start, words))
    assert read_map(other, voxel_size=1.0).origin == tuple(n / 2 for n in (-16, 8, -12))
    given = (origin, _words(1.5, 0, -2, kind="<f4"))
    assert read_map(_edited(tmp_path, (start, words), given)).origin == (1.5, 0, -2)


def test_axes_that_are_not_set_are_x_y_z_and_impossible_ones_are_refused(tmp_path):
    np.testing.assert_array_equal(read_map(_edited(tmp_path, (AXES, bytes(12)))).data, CUBE)
    with pytest.raises(MapError, match=r"axes are \(1, 1, 3\)"):
        read_map(_edited(tmp_path, (AXES, _words(1, 1, 3))))


@pytest.mark.parametrize("extended", [2**31 - 1, 100_000])
def test_an_extended_header_that_the_file_does_not_hold_is_refused_at_once(tmp_path, extended):
    path = _edited(tmp_path, (NSYMBT, _words(extended)))
    with pytest.raises(MapError, match=f"truncated.*extended header of {extended} bytes"):
        read_map(path)
    with pytest.raises(StackError, match="truncated"):
        read_stack_header(path)
    path.write_bytes(gzip.compress(path.read_bytes()))
    with pytest.raises(MapError, match="truncated"):
        read_map(path)


def test_a_negative_extended_header_is_refused(tmp_path):
    with pytest.raises(MapError, match="extended header of -4"):
        read_map(_edited(tmp_path, (NSYMBT, _words(-4))))


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress])
def test_compressed_maps_are_read(tmp_path, pack):
    path = _edited(tmp_path)
    path.write_bytes(pack(path.read_bytes()))
    np.testing.assert_array_equal(read_map(path).data, CUBE)


def test_a_damaged_compressed_map_is_a_map_error(tmp_path):
    path = _edited(tmp_path)
    path.write_bytes(gzip.compress(path.read_bytes())[:-2000])
    with pytest.raises(MapError, match=r"m\.mrc"):
        read_map(path)


def test_a_voxel_size_can_be_given_and_its_lack_says_how(tmp_path):
    path = _edited(tmp_path, (CELL, _words(0, 0, 0, kind="<f4")))
    with pytest.raises(MapError, match=r"give --pixel-size, or .*--force_header_angpix"):
        read_map(path)
    assert read_map(path, voxel_size=1.5).voxel_size == 1.5


RAMP = (np.arange(256).reshape(16, 16)[None] + np.arange(6)[:, None, None]).clip(0, 255)


@pytest.mark.parametrize(
    ("changes", "unsigned"),
    [
        ([(RANGE, _words(0, 255, 120, kind="<f4"))], True),
        ([(RANGE, _words(0, 200, 120, kind="<f4"))], True),
        ([(RANGE, _words(-128, 127, 0, kind="<f4"))], False),
        ([(RANGE, bytes(12))], True),  # by the values: neighbours are alike
        ([(RANGE, _words(0, 0, -1, kind="<f4"))], True),
        ([(IMOD, _words(1146047817, 1))], False),
        ([(IMOD, _words(1146047817, 0))], True),
        ([(RANGE, _words(0, 255, 120, kind="<f4")), (IMOD, _words(1146047817, 1))], False),
    ],
)
def test_bytes_are_signed_or_not_as_flag_range_or_values_say(tmp_path, changes, unsigned):
    raw = bytearray(mrc_bytes(RAMP.astype(np.uint8).view(np.int8), dtype="i1"))
    for place, values in changes:
        raw[place : place + len(values)] = values
    path = tmp_path / "s.mrcs"
    path.write_bytes(raw)
    images = np.empty((6, 16, 16), np.float32)
    ImageStack(path, read_stack_header(path)).read(np.arange(6), images)
    expected = RAMP if unsigned else RAMP.astype(np.uint8).view(np.int8)
    np.testing.assert_array_equal(images, expected)


def test_signed_bytes_without_a_range_are_read_as_signed(tmp_path):
    noise = np.random.default_rng(0).normal(0, 20, (6, 16, 16)).round().astype(np.int8)
    (tmp_path / "s.mrcs").write_bytes(mrc_bytes(noise, dtype="i1"))
    assert read_stack_header(tmp_path / "s.mrcs").dtype == np.int8


@pytest.mark.parametrize(("mode", "words"), [(4, "complex"), (3, "complex"), (101, "mode 101")])
def test_a_mode_that_is_no_image_is_refused(tmp_path, mode, words):
    (tmp_path / "s.mrcs").write_bytes(mrc_bytes(CUBE, mode=mode))
    with pytest.raises(StackError, match=words):
        read_stack_header(tmp_path / "s.mrcs")


@pytest.mark.parametrize(
    ("mode", "dtype"), [(0, "f4"), (1, "f4"), (2, "i1"), (2, "i2"), (12, "i1")]
)
def test_a_mode_with_another_size_than_the_samples_have_is_refused_by_name(tmp_path, mode, dtype):
    images = (20 * CUBE).astype(dtype)
    path = tmp_path / "s.mrcs"
    path.write_bytes(mrc_bytes(images, dtype, mode=mode))
    words = "as long as with samples of mode"
    with pytest.raises(StackError, match=words):
        read_stack_header(path)
    with pytest.raises(MapError, match=words):
        read_map(path, voxel_size=2.0)
    (tmp_path / "m.mrc.gz").write_bytes(gzip.compress(path.read_bytes()))
    with pytest.raises(MapError, match=words):
        read_map(tmp_path / "m.mrc.gz", voxel_size=2.0)


TWO_BYTES = {"i2": 1, "u2": 6, "f2": 12}


@pytest.mark.parametrize("declared", TWO_BYTES)
@pytest.mark.parametrize("true", TWO_BYTES)
@pytest.mark.parametrize("order", ["<", ">"])
def test_a_mode_of_two_bytes_is_compared_with_the_range_in_the_header(
    tmp_path, true, declared, order
):
    images = CUBE if true == "f2" else 1000 * CUBE + (40_000 if true == "u2" else 0)
    images = images.astype(true)
    raw = bytearray(mrc_bytes(images, true, order, mode=TWO_BYTES[declared]))
    path = tmp_path / "s.mrcs"
    path.write_bytes(raw)
    raw[RANGE : RANGE + 8] = _words(images.min(), images.max(), kind=f"{order}f4")
    path.write_bytes(raw)
    if declared == true:
        read_stack_header(path)
        return
    for error, read in ((StackError, read_stack_header), (MapError, read_map)):
        with pytest.raises(error, match=f"only in mode {TWO_BYTES[true]}"):
            read(path)


@pytest.mark.parametrize("declared", TWO_BYTES)
@pytest.mark.parametrize("true", TWO_BYTES)
def test_a_mode_of_two_bytes_is_told_by_the_values_without_a_range(tmp_path, true, declared):
    images = {"i2": 100 * CUBE, "u2": 32_768 + 1000 * CUBE, "f2": CUBE}[true].astype(true)
    path = tmp_path / "s.mrcs"
    path.write_bytes(mrc_bytes(images, true, mode=TWO_BYTES[declared]))
    if declared == true or (true, declared) == ("u2", "f2"):  # -0.0 and 6e-8: refused as noise
        read_stack_header(path)
        return
    with pytest.raises(StackError, match=f"only in mode {TWO_BYTES[true]}"):
        read_stack_header(path)


SCALES = {"i2": [1, 30, 1000, 9000], "u2": [1, 30, 1000, 9000], "f2": [1e-5, 0.01, 1, 100]}


@pytest.mark.parametrize("mean", [-3, 0, 3])
@pytest.mark.parametrize(
    ("dtype", "scale"), [(dtype, scale) for dtype in SCALES for scale in SCALES[dtype]]
)
def test_samples_in_the_mode_of_the_header_are_never_taken_for_another(
    tmp_path, dtype, scale, mean
):
    values = scale * (CUBE + mean) + (32_768 if dtype == "u2" else 0)
    limits = (0, 65_535) if dtype == "u2" else (-32_768, 32_767)
    (tmp_path / "s.mrcs").write_bytes(mrc_bytes(np.clip(values, *limits).astype(dtype), dtype))
    read_stack_header(tmp_path / "s.mrcs")


def test_a_mask_of_two_values_is_read_as_integers(tmp_path):
    (tmp_path / "s.mrcs").write_bytes(mrc_bytes(12_000 * np.sign(CUBE), "i2"))
    assert read_stack_header(tmp_path / "s.mrcs").dtype == np.int16


@pytest.mark.parametrize(
    ("magic", "words"),
    [(b"\x1f\x8b\x08", "gzip; unpack"), (b"II*\0", "TIFF"), (b"<!DOCTYPE html>", "web page")],
)
def test_another_kind_of_file_is_named(tmp_path, magic, words):
    (tmp_path / "s.mrcs").write_bytes(magic + b"\x99" * 2000)
    with pytest.raises(StackError, match=words):
        read_stack_header(tmp_path / "s.mrcs")


@pytest.mark.parametrize(("low", "high"), [(-1, 1), (0, 1e9), (5, 5), (np.nan, np.inf)])
@pytest.mark.parametrize("dtype", TWO_BYTES)
def test_a_range_that_is_stale_does_not_hinder_reading(tmp_path, dtype, low, high):
    images = (50 * np.abs(CUBE)).astype(dtype)
    raw = bytearray(mrc_bytes(images, dtype))
    raw[RANGE : RANGE + 8] = _words(low, high, kind="<f4")
    path = tmp_path / "s.mrcs"
    path.write_bytes(raw)
    read_stack_header(path)
    np.testing.assert_array_equal(read_map(path, voxel_size=2.0).data, images)


def test_bytes_after_the_samples_are_counted_and_said(tmp_path, caplog):
    raw = mrc_bytes(CUBE) + bytes(80)
    (tmp_path / "s.mrc").write_bytes(raw)
    assert read_stack_header(tmp_path / "s.mrc").extra_bytes == 80
    np.testing.assert_array_equal(read_map(tmp_path / "s.mrc", voxel_size=2.0).data, CUBE)
    assert "80 bytes follow the 16 x 16 x 16 voxels" in caplog.text
