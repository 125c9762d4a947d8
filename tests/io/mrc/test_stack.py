import os
import threading

import numpy as np
import pytest
from mrc_files import write_stack

from napari_ini3d.errors import StackError
from napari_ini3d.io.mrc import stack as stack_module
from napari_ini3d.io.mrc.stack import ImageStack, read_stack_header

RNG = np.random.default_rng(5)
IMAGES = RNG.normal(size=(40, 16, 16)).astype(np.float32)


def _open(folder, images=IMAGES, **options):
    path = write_stack(folder / "stack.mrcs", images, **options)
    return ImageStack(path, read_stack_header(path))


def _read(stack, numbers):
    out = np.full((len(numbers), 16, 16), np.nan, np.float32)
    stack.read(np.asarray(numbers), out)
    return out


@pytest.mark.parametrize("extended", [0, 160])
@pytest.mark.parametrize(
    "numbers",
    [[], [39], range(40), range(39, -1, -1), [3, 3, 4, 5, 5, 0], [7, 8, 9, 20, 21, 2]],
)
def test_images_are_read_in_the_requested_order(tmp_path, numbers, extended):
    numbers = np.array(numbers, dtype=np.int32)
    stack = _open(tmp_path, extended=extended)
    np.testing.assert_array_equal(_read(stack, numbers), IMAGES[numbers])


@pytest.mark.parametrize(("dtype", "order"), [("i2", "<"), ("f4", ">"), ("f2", "<")])
def test_samples_of_another_type_are_converted_a_few_images_at_a_time(
    tmp_path, monkeypatch, dtype, order
):
    images = RNG.integers(-99, 99, size=(40, 16, 16))
    stack = _open(tmp_path, images, dtype=dtype, order=order)
    monkeypatch.setattr(stack_module, "_CONVERTED_BYTES", 3 * 16 * 16 * np.dtype(dtype).itemsize)
    np.testing.assert_array_equal(_read(stack, range(5, 40)), images[5:])


def test_images_are_read_into_an_array_with_gaps(tmp_path):
    wide = np.zeros((4, 16, 32), np.float32)
    _open(tmp_path).read(np.arange(4), wide[:, :, ::2])
    np.testing.assert_array_equal(wide[:, :, ::2], IMAGES[:4])
    assert not wide[:, :, 1::2].any()


def test_a_file_that_is_truncated_between_two_reads_is_a_stack_error(tmp_path):
    stack = _open(tmp_path)
    _read(stack, [30])
    os.truncate(tmp_path / "stack.mrcs", 1024 + 10 * IMAGES[0].nbytes + 8)
    np.testing.assert_array_equal(_read(stack, range(10)), IMAGES[:10])
    words = r"stack\.mrcs: truncated since.*11272 bytes, but image 11 ends at 12288.*resume"
    with pytest.raises(StackError, match=words):
        _read(stack, range(8, 20))


def test_a_disk_that_fails_is_a_stack_error_with_advice(tmp_path, monkeypatch):
    stack = _open(tmp_path)

    def fail(*args):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(ImageStack, "_read_at", fail)
    with pytest.raises(StackError, match=r"Input/output error\); check the disk.*resume"):
        _read(stack, [0])


def test_a_partial_read_is_continued(tmp_path, monkeypatch):
    stack, whole = _open(tmp_path), ImageStack._read_at
    monkeypatch.setattr(
        ImageStack, "_read_at", lambda self, buffer, place: whole(self, buffer[:1000], place)
    )
    np.testing.assert_array_equal(_read(stack, range(40)), IMAGES)


def test_reading_with_seek_gives_the_same_images(tmp_path, monkeypatch):
    monkeypatch.setattr(stack_module.sys, "platform", "win32")
    np.testing.assert_array_equal(_read(_open(tmp_path), [5, 6, 1]), IMAGES[[5, 6, 1]])


@pytest.mark.parametrize("platform", ["linux", "win32"])
def test_threads_do_not_disturb_each_other(tmp_path, monkeypatch, platform):
    monkeypatch.setattr(stack_module.sys, "platform", platform)
    stack, wrong = _open(tmp_path), []

    def work(seed):
        for numbers in np.random.default_rng(seed).integers(0, 40, size=(200, 4)):
            if not np.array_equal(_read(stack, numbers), IMAGES[numbers]):
                wrong.append(numbers)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


@pytest.mark.parametrize("number", [-1, 40])
def test_an_index_out_of_range_is_refused(tmp_path, number):
    with pytest.raises(IndexError, match="of 40"):
        _read(_open(tmp_path), [0, number])
