"""Maps and stacks: any shape is read as it is, and any header is refused or read."""

from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, strategies as st
from hypothesis.extra import numpy as arrays_of
from mrc_files import mrc_bytes
from properties import repeatable

from napari_ini3d.errors import MapError, StackError
from napari_ini3d.io.mrc.maps import read_map, write_map
from napari_ini3d.io.mrc.stack import ImageStack, read_stack_header

SIDES = st.integers(1, 7)
VALUES = st.floats(-1000, 1000, width=16)


@st.composite
def arrays(draw, last=None):
    nz, ny = draw(SIDES), draw(SIDES)
    return draw(arrays_of.arrays(np.float32, (nz, ny, last or ny), elements=VALUES))


@repeatable
@given(arrays(last=16), st.floats(0.1, 50))
def test_a_map_is_read_as_it_was_written(tmp_path, volume, voxel_size):
    write_map(tmp_path / "m.mrc", volume, voxel_size)
    if np.ptp(volume) == 0:
        with pytest.raises(MapError):
            read_map(tmp_path / "m.mrc", any_box=True)
        return
    found = read_map(tmp_path / "m.mrc", any_box=True)
    np.testing.assert_array_equal(found.data, volume)
    assert found.voxel_size == pytest.approx(voxel_size, rel=1e-5)


@repeatable
@given(
    arrays(),
    st.sampled_from(["i1", "i2", "f4", "u2", "f2"]),
    st.sampled_from("<>"),
    st.integers(0, 2000),
)
def test_a_stack_is_read_in_any_mode_byte_order_and_extended_header(
    tmp_path, images, dtype, order, extended
):
    images = np.clip(images, 0 if dtype == "u2" else -100, 100).astype(dtype).astype(np.float32)
    path = tmp_path / "s.mrcs"
    path.write_bytes(mrc_bytes(images, dtype, order, extended))
    header = read_stack_header(path)
    found = np.empty_like(images)
    stack = ImageStack(path, header)
    stack.read(np.arange(header.n_images), found)
    stack.close()
    signed = header.dtype != np.uint8  # modes without a range are told by their values
    np.testing.assert_array_equal(found if signed else found.astype(np.int8), images)


@repeatable
@given(st.data())
def test_any_header_is_refused_or_describes_no_more_than_the_file_holds(tmp_path, data):
    raw = bytearray(mrc_bytes(np.random.default_rng(1).normal(size=(4, 4, 4))))
    for _ in range(data.draw(st.integers(1, 3))):
        place = 4 * data.draw(st.integers(0, 55))
        word = data.draw(st.binary(min_size=4, max_size=4) | st.sampled_from(EXTREMES))
        raw[place : place + 4] = word
    path = tmp_path / "m.mrc"
    path.write_bytes(raw)
    with suppress(MapError):
        found = read_map(path, any_box=True, voxel_size=1.0)
        assert found.data.nbytes <= 4 * len(raw)
        assert np.isfinite(found.data).all()
    with suppress(StackError):
        header = read_stack_header(path)
        assert header.offset + header.n_images * header.image_bytes <= len(raw)


EXTREMES = [
    np.array(value, kind).tobytes()
    for value, kind in [
        (2**31 - 1, "<i4"),
        (-(2**31), "<i4"),
        (-1, "<i4"),
        (0, "<i4"),
        (np.nan, "<f4"),
        (np.inf, "<f4"),
        (1e38, "<f4"),
    ]
]
