"""Files of arrays: what is written is read, and no damage goes unseen."""

import numpy as np
import pytest
from hypothesis import given, strategies as st
from hypothesis.extra import numpy as arrays_of
from properties import repeatable

from napari_ini3d.runs.storage import load_arrays, save_arrays

DAMAGED = (OSError, ValueError)
DTYPES = st.sampled_from(["<f4", ">f8", "<f2", "<i4", "<u8", "|b1", "<c8", "<U3", "S2"])
ARRAYS = st.dictionaries(
    st.from_regex(r"[a-z][a-z_.]{0,8}", fullmatch=True).filter(lambda name: name != "file"),
    DTYPES.flatmap(
        lambda dtype: arrays_of.arrays(
            np.dtype(dtype), arrays_of.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=3)
        )
    ),
    min_size=1,
    max_size=3,
)


def same(found, expected):
    return found.keys() == expected.keys() and all(
        found[name].dtype == array.dtype
        and found[name].shape == array.shape
        and found[name].tobytes() == array.tobytes()
        for name, array in expected.items()
    )


@repeatable
@given(ARRAYS, st.booleans())
def test_any_arrays_are_read_as_they_were_written(tmp_path, arrays, compressed):
    save_arrays(tmp_path / "a.npz", arrays, compressed=compressed)
    assert same(load_arrays(tmp_path / "a.npz"), arrays)


@repeatable
@given(ARRAYS, st.booleans(), st.data())
def test_a_truncated_file_is_an_error(tmp_path, arrays, compressed, data):
    path = tmp_path / "a.npz"
    save_arrays(path, arrays, compressed=compressed)
    content = path.read_bytes()
    path.write_bytes(content[: data.draw(st.integers(0, len(content) - 1))])
    with pytest.raises(DAMAGED):
        load_arrays(path)


@repeatable
@given(ARRAYS, st.booleans(), st.data())
def test_a_changed_byte_is_an_error_or_changes_no_value(tmp_path, arrays, compressed, data):
    path = tmp_path / "a.npz"
    save_arrays(path, arrays, compressed=compressed)
    content = bytearray(path.read_bytes())
    content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    path.write_bytes(content)
    try:
        found = load_arrays(path)
    except DAMAGED:
        return
    # names stand twice in the file; the second, which counts, has no checksum
    assert sorted(a.tobytes() for a in found.values()) == sorted(
        a.tobytes() for a in arrays.values()
    )
