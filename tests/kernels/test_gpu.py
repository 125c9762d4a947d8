"""The module that imports CuPy, on a stand-in for CuPy."""

import fake_cupy
import numpy as np
import pytest

from napari_ini3d.errors import DeviceError
from napari_ini3d.kernels.backend import choose_backend
from napari_ini3d.kernels.types import Backend


@pytest.fixture
def machine(monkeypatch) -> fake_cupy.Machine:
    machine = fake_cupy.Machine()
    fake_cupy.install(monkeypatch, machine)
    return machine


@pytest.fixture
def card(machine) -> Backend:
    return choose_backend("gpu")


def test_arrays_go_to_the_card_and_come_back(card):
    host = np.arange(6.0).reshape(2, 3)
    there = card.to_device(host)
    assert isinstance(there, card.xp.ndarray)
    assert np.array_equal(card.to_host(there), host)


def test_images_are_uploaded_through_few_buffers_and_arrive_whole(card):
    rng = np.random.default_rng(0)
    for count in (4, 2, 7, 1, 3):
        images = rng.standard_normal((count, 5, 5)).astype(np.float32)
        with card.device.enter(), card.device.upload(images) as there:
            assert there.shape == images.shape
            assert np.array_equal(card.to_host(there), images)


def test_a_buffer_is_not_filled_again_before_its_images_have_been_used(card):
    batches = [np.full((2, 3, 3), i, np.float32) for i in range(3)]
    under_way = [card.device.upload(images) for images in batches]
    for images, upload in zip(batches, under_way, strict=True):
        with card.device.enter(), upload as there:
            assert np.array_equal(card.to_host(there), images)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (
            fake_cupy.CUDARuntimeError("cudaErrorIllegalAddress: an illegal access"),
            "illegal access",
        ),
        (RuntimeError("CUFFT_INTERNAL_ERROR"), "CUFFT_INTERNAL_ERROR.*device cpu"),
        (fake_cupy.CompileException("nvrtc: error: bad"), r"bad.*napari-ini3d\[cuda12\]"),
        (ImportError("libnvrtc.so.13: cannot open"), r"libnvrtc.*napari-ini3d\[cuda13\]"),
    ],
)
def test_errors_of_cuda_leave_as_errors_of_the_device(card, error, said):
    with pytest.raises(DeviceError, match=said) as found, card.device.enter():
        raise error
    assert found.value.__cause__ is error
    assert not isinstance(found.value, RuntimeError)


@pytest.mark.parametrize(
    "error",
    [
        fake_cupy.OutOfMemoryError("Out of memory allocating 5 bytes"),
        fake_cupy.CUDARuntimeError("cudaErrorMemoryAllocation: out of memory"),
        RuntimeError("CUFFT_ALLOC_FAILED"),
        RuntimeError("CUBLAS_STATUS_ALLOC_FAILED"),
        RuntimeError("CUBLAS_STATUS_NOT_INITIALIZED"),
    ],
)
def test_want_of_memory_leaves_as_a_memory_error(card, error):
    with pytest.raises(MemoryError), card.device.enter():
        raise error


def test_our_own_errors_leave_as_they_are(card):
    with pytest.raises(DeviceError, match=r"^mine$"), card.device.enter():
        raise DeviceError("mine")


@pytest.mark.parametrize(
    ("precision", "kind"),
    [
        ("float32", "CUBLAS_COMPUTE_32F"),
        ("tf32", "CUBLAS_COMPUTE_32F_FAST_TF32"),
        ("fp16", "CUBLAS_COMPUTE_32F_FAST_16F"),
        ("bf16", "CUBLAS_COMPUTE_32F_FAST_16BF"),
    ],
)
def test_products_of_any_layout_are_computed_in_the_precision_asked_for(machine, precision, kind):
    card = choose_backend("gpu", precision=precision)
    rng = np.random.default_rng(0)
    a, b = (rng.standard_normal(shape).astype(np.float32) for shape in ((3, 4), (4, 5)))
    layouts = {
        "by rows": (card.to_device(a), card.to_device(b)),
        "by columns": (card.to_device(a.T.copy()).T, card.to_device(b.T.copy()).T),
        "mixed": (card.to_device(a.T.copy()).T, card.to_device(b)),
        "strided": (card.to_device(np.repeat(a, 2, 1))[:, ::2], card.to_device(b)),
        "part": (card.to_device(np.repeat(a, 2, 0))[::2], card.to_device(np.tile(b, 2))[:, :5]),
    }
    for there in layouts.values():
        out = card.xp.empty((3, 5), np.float32)
        assert card.kernels.matmul(*there, out) is out
        for found in (out, card.kernels.matmul(*there)):
            assert np.allclose(card.to_host(found), a @ b, atol=1e-5)
    assert set(machine.products) == {kind}
    assert card.kernels.matmul(layouts["by rows"][0][:0], layouts["by rows"][1]).shape == (0, 5)


def test_maps_are_filled_by_integers_unless_asked_otherwise(machine):
    for deterministic, name in ((True, "backproject_fixed"), (False, "backproject_float")):
        card = choose_backend("gpu", deterministic=deterministic)
        arrays = [
            np.ones((2, 3), np.complex64),
            np.ones((2, 3), np.float32),
            np.stack([np.eye(3, dtype=np.float32)] * 2),
            np.ones(3, np.float32),
            np.ones(3, np.float32),
            np.zeros((9, 9, 6), np.complex64),
            np.zeros((9, 9, 6), np.float32),
        ]
        there = [card.to_device(array) for array in arrays]
        machine.launched.clear()
        card.kernels.backproject(*there)
        assert machine.launched == [(0, name)]
        assert card.to_host(there[-1]).sum() == pytest.approx(6)


def test_a_library_that_is_missing_shows_before_a_run_begins(machine):
    machine.library_failure = ImportError("libcufft.so.11: cannot open shared object file")
    with pytest.raises(DeviceError, match=r"libcufft.*install napari-ini3d\[cuda12\]"):
        choose_backend("gpu")
    assert choose_backend("auto").name == "cpu"


def test_a_folder_for_compiled_kernels_that_cannot_be_written_is_named(machine):
    machine.compiler_failure = PermissionError(13, "Permission denied", "/home/a/.cupy")
    with pytest.raises(DeviceError, match=r"/home/a/\.cupy.*set CUPY_CACHE_DIR"):
        choose_backend("gpu")


def test_a_stream_for_each_thread_is_refused(machine, monkeypatch):
    monkeypatch.setenv("CUPY_CUDA_PER_THREAD_DEFAULT_STREAM", "1")
    with pytest.raises(DeviceError, match=r"PER_THREAD_DEFAULT_STREAM is set.*unset it"):
        choose_backend("gpu")


def test_a_compiler_that_does_not_work_shows_before_a_run_begins(machine):
    machine.compiler_failure = ImportError("libnvrtc.so.12: cannot open shared object file")
    with pytest.raises(DeviceError, match=r"libnvrtc.*install napari-ini3d\[cuda12\]"):
        choose_backend("gpu")
    assert choose_backend("auto").name == "cpu"
