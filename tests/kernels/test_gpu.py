"""The module that imports CuPy, with a stand-in for CuPy."""

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
def gpu(machine) -> Backend:
    return choose_backend("gpu")


def test_arrays_are_copied_to_the_gpu_and_back(gpu):
    host = np.arange(6.0).reshape(2, 3)
    there = gpu.to_device(host)
    assert isinstance(there, gpu.xp.ndarray)
    assert np.array_equal(gpu.to_host(there), host)


def test_uploaded_images_arrive_complete(gpu):
    rng = np.random.default_rng(0)
    for count in (4, 2, 7, 1, 3):
        images = rng.standard_normal((count, 5, 5)).astype(np.float32)
        with gpu.device.enter(), gpu.device.upload(images) as there:
            assert there.shape == images.shape
            assert np.array_equal(gpu.to_host(there), images)


def test_three_uploads_can_be_in_progress_at_once(gpu):
    batches = [np.full((2, 3, 3), i, np.float32) for i in range(3)]
    uploads = [gpu.device.upload(images) for images in batches]
    for images, upload in zip(batches, uploads, strict=True):
        with gpu.device.enter(), upload as there:
            assert np.array_equal(gpu.to_host(there), images)


def test_a_buffer_is_refilled_only_after_the_computation_on_its_images(gpu, machine):
    machine.traffic.clear()
    for _ in range(4):
        with gpu.device.upload(np.zeros((2, 3, 3), np.float32)):
            pass
    first = ["images", "wait for a copy"]  # of each of the three buffers
    again = ["wait for a computation", "images", "wait for a copy"]
    assert [kind for kind, _ in machine.traffic] == 3 * first + again


@pytest.mark.parametrize(
    ("error", "message"),
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
def test_errors_of_cuda_become_device_errors(gpu, error, message):
    with pytest.raises(DeviceError, match=message) as found, gpu.device.enter():
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
def test_out_of_memory_becomes_a_memory_error(gpu, error):
    with pytest.raises(MemoryError), gpu.device.enter():
        raise error


def test_a_device_error_is_not_translated(gpu):
    with pytest.raises(DeviceError, match=r"^mine$"), gpu.device.enter():
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
def test_products_of_any_memory_layout_use_the_chosen_precision(machine, precision, kind):
    gpu = choose_backend("gpu", precision=precision)
    rng = np.random.default_rng(0)
    a, b = (rng.standard_normal(shape).astype(np.float32) for shape in ((3, 4), (4, 5)))
    layouts = {
        "by rows": (gpu.to_device(a), gpu.to_device(b)),
        "by columns": (gpu.to_device(a.T.copy()).T, gpu.to_device(b.T.copy()).T),
        "mixed": (gpu.to_device(a.T.copy()).T, gpu.to_device(b)),
        "strided": (gpu.to_device(np.repeat(a, 2, 1))[:, ::2], gpu.to_device(b)),
        "part": (gpu.to_device(np.repeat(a, 2, 0))[::2], gpu.to_device(np.tile(b, 2))[:, :5]),
    }
    for there in layouts.values():
        out = gpu.xp.empty((3, 5), np.float32)
        assert gpu.kernels.matmul(*there, out) is out
        for found in (out, gpu.kernels.matmul(*there)):
            assert np.allclose(gpu.to_host(found), a @ b, atol=1e-5)
    assert set(machine.products) == {kind}
    assert gpu.kernels.matmul(layouts["by rows"][0][:0], layouts["by rows"][1]).shape == (0, 5)


def test_slices_are_backprojected_as_integers_if_deterministic(machine):
    for deterministic, name in ((True, "backproject_fixed"), (False, "backproject_float")):
        gpu = choose_backend("gpu", deterministic=deterministic)
        arrays = [
            np.ones((2, 3), np.complex64),
            np.ones((2, 3), np.float32),
            np.stack([np.eye(3, dtype=np.float32)] * 2),
            np.ones(3, np.float32),
            np.ones(3, np.float32),
            np.zeros((9, 9, 6), np.complex64),
            np.zeros((9, 9, 6), np.float32),
        ]
        there = [gpu.to_device(array) for array in arrays]
        machine.launched.clear()
        gpu.kernels.backproject(*there)
        assert (0, name) in machine.launched
        assert len({n for _, n in machine.launched if n.startswith("backproject")}) == 1
        assert gpu.to_host(there[-1]).sum() == pytest.approx(6)


def test_a_missing_library_is_reported_before_a_run_begins(machine):
    machine.library_failure = ImportError("libcufft.so.11: cannot open shared object file")
    with pytest.raises(DeviceError, match=r"libcufft.*install napari-ini3d\[cuda12\]"):
        choose_backend("gpu")
    assert choose_backend("auto").name == "cpu"


def test_a_kernel_cache_that_cannot_be_written_is_named(machine):
    machine.compiler_failure = PermissionError(13, "Permission denied", "/home/a/.cupy")
    with pytest.raises(DeviceError, match=r"/home/a/\.cupy.*set CUPY_CACHE_DIR"):
        choose_backend("gpu")


def test_per_thread_default_streams_are_refused(machine, monkeypatch):
    monkeypatch.setenv("CUPY_CUDA_PER_THREAD_DEFAULT_STREAM", "1")
    with pytest.raises(DeviceError, match=r"PER_THREAD_DEFAULT_STREAM is set.*unset it"):
        choose_backend("gpu")


def test_a_missing_compiler_is_reported_before_a_run_begins(machine):
    machine.compiler_failure = ImportError("libnvrtc.so.12: cannot open shared object file")
    with pytest.raises(DeviceError, match=r"libnvrtc.*install napari-ini3d\[cuda12\]"):
        choose_backend("gpu")
    assert choose_backend("auto").name == "cpu"
