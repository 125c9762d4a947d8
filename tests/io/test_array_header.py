import io

import numpy as np
import pytest

from napari_ini3d.io.array_header import declared_bytes


def _file(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "array", [np.arange(7), np.zeros((3, 0)), np.zeros(4, [("uid", "<u8"), ("pose", "<f4", (3,))])]
)
def test_the_declared_size_of_an_array_is_that_of_its_file(array):
    content = _file(array)
    assert declared_bytes(io.BytesIO(content)) == len(content)


def test_a_shape_that_the_file_does_not_hold_is_declared_without_taking_memory():
    content = _file(np.zeros(8)).replace(b"(8,), }" + 9 * b" ", b"(8000000000,), }")
    assert declared_bytes(io.BytesIO(content)) > 6e10


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"}", b"{"),  # numpy raises an error of the tokenizer
        (b"'descr'", b"'d\x00scr'"),
        (b"<f8", b"|O8"),
        (b"\x93NUMPY\x01", b"\x93NUMPY\x07"),
        (b"(8,)", b"'aa'"),
    ],
)
def test_a_damaged_header_is_a_value_error(old, new):
    content = _file(np.zeros(8))
    assert old in content
    with pytest.raises(ValueError, match=r"."):
        declared_bytes(io.BytesIO(content.replace(old, new)))
