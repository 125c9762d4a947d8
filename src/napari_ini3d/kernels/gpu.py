"""NVIDIA GPUs through CuPy; the only module that imports it.

CuPy's errors are RuntimeErrors, which napari's workers swallow: the contexts of this module
translate them all. The module is imported only when a GPU may be used.
"""

from __future__ import annotations

import os
import queue
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import cupy as cp
import cupyx
import cupyx.scipy.fft
import numpy as np

from napari_ini3d._types import AnyArray, Float32
from napari_ini3d.errors import DeviceError
from napari_ini3d.kernels.cuda_kernels import CudaKernels
from napari_ini3d.kernels.cuda_launch import COMPILE_OPTIONS, THREADS, kernel_source
from napari_ini3d.kernels.half_precision import scaled_product
from napari_ini3d.kernels.types import INSTALL_CUPY, Array, Backend, GpuInfo

_SLOTS = 3  # upload buffers of a GPU: one in use, one waiting, one being copied
_OUT_OF_MEMORY = (
    "cudaErrorMemoryAllocation",
    "ALLOC_FAILED",
    "CUDA_ERROR_OUT_OF_MEMORY",
    "CUBLAS_STATUS_NOT_INITIALIZED",  # its handle could not be created for lack of memory
)
_PER_THREAD_STREAMS = "CUPY_CUDA_PER_THREAD_DEFAULT_STREAM"
_NO_DRIVER = ("cudaErrorNoDevice", "cudaErrorInsufficientDriver", "cudaErrorStubLibrary")
_NO_LIBRARY = ("CompileException", "NVRTCError", "DynamicLibNotFoundError", "ImportError")
_CUBLAS_SUFFIX = {"tf32": "TF32", "fp16": "16F", "bf16": "16BF"}


def find_gpus() -> list[GpuInfo]:
    """List the GPUs of this machine.

    Raises
    ------
    DeviceError
        If there is no GPU or no driver.
    """
    return [_about(index) for index in range(_count())]


def choose_gpus(requested: tuple[int, ...] | None) -> tuple[int, ...]:
    """Return the indices of the requested GPUs, or of all GPUs for None.

    Raises
    ------
    DeviceError
        If a requested GPU does not exist.
    """
    count = _count()
    chosen = requested or tuple(range(count))
    if max(chosen) >= count:
        found = ", ".join(f"gpu:{i} ({_about(i).name})" for i in range(count))
        raise DeviceError(f"this machine has no gpu:{max(chosen)}; choose from {found}")
    return chosen


def make_backend(
    requested: tuple[int, ...] | None, precision: str, *, deterministic: bool
) -> Backend:
    """Return the backend of the requested GPUs, or of all for None; see `choose_backend`.

    Raises
    ------
    DeviceError
        If a requested GPU does not exist or does not work.
    """
    chosen = choose_gpus(requested)
    if os.environ.get(_PER_THREAD_STREAMS, "0") != "0":
        raise DeviceError(
            f"{_PER_THREAD_STREAMS} is set, but all threads of a GPU must share one stream; "
            "unset it"
        )
    module = cp.RawModule(code=kernel_source(), options=COMPILE_OPTIONS)
    backends = [_gpu_backend(i, module, precision, deterministic) for i in chosen]
    return replace(backends[0], others=tuple(backends[1:]))


def _gpu_backend(index: int, module: Any, precision: str, deterministic: bool) -> Backend:
    info = _about(index)
    function = cache(module.get_function)
    with _on_gpu(index):  # fail now, not in the run: CuPy loads CUDA's libraries on first use
        _compile(module)
        matmul = _product(precision)
        probe = cp.ones((2, 2), np.float32)
        matmul(probe, probe)
        cupyx.scipy.fft.rfft2(probe)

    def launch(name: str, blocks: int, arguments: tuple[Any, ...]) -> None:
        function(name)((blocks,), (THREADS,), arguments)

    kernels = CudaKernels(cp, launch, matmul, deterministic=deterministic)
    name = f"gpu:{index} {info.name}"
    return Backend(name, cp, cupyx.scipy.fft, kernels, _Gpu(index), is_gpu=True)


def _compile(module: Any) -> None:
    try:
        module.compile()
    except OSError as error:
        raise DeviceError(
            f"the compiled kernels cannot be cached ({error}); set CUPY_CACHE_DIR to a folder that "
            "can be written"
        ) from error


def _product(precision: str) -> Callable[..., Array]:
    """Return the product of float32 matrices whose factors are rounded to a precision first."""
    if precision == "float32":
        return lambda a, b, out=None: cp.matmul(a, b, out=out)
    # CuPy's own matmul offers TF32 only
    compute_type = getattr(cp.cuda.cublas, f"CUBLAS_COMPUTE_32F_FAST_{_CUBLAS_SUFFIX[precision]}")

    def matmul(a: Array, b: Array, out: Array | None = None) -> Array:
        if out is None:
            out = cp.empty((a.shape[0], b.shape[1]), np.float32)
        _multiply(a, b, out, compute_type)
        return out

    return scaled_product(cp, matmul) if precision == "fp16" else matmul


def _multiply(a: Array, b: Array, out: Array, compute_type: int) -> None:
    """Fill `out` (m, n), contiguous, with the product of (m, k) and (k, n), by cuBLAS.

    cuBLAS takes matrices in column-major order, so that the transposed product is computed.
    """
    (m, k), n = a.shape, b.shape[1]
    if not out.size:
        return
    one, zero = np.ones((), np.float32), np.zeros((), np.float32)  # out = 1 · a b + 0 · out
    (a, op_a, ld_a), (b, op_b, ld_b) = (_cublas_operand(factor) for factor in (a, b))
    float32 = cp.cuda.runtime.CUDA_R_32F
    cp.cuda.cublas.gemmEx(
        cp.cuda.device.get_cublas_handle(),
        *(op_b, op_a, n, m, k),
        one.ctypes.data,
        *(b.data.ptr, float32, ld_b),
        *(a.data.ptr, float32, ld_a),
        zero.ctypes.data,
        *(out.data.ptr, float32, n),
        compute_type,
        cp.cuda.cublas.CUBLAS_GEMM_DEFAULT,
    )


def _cublas_operand(factor: Array) -> tuple[Array, int, int]:
    """Return a matrix for cuBLAS, the operation on it (none or transpose), and its step."""
    if factor.flags.f_contiguous and not factor.flags.c_contiguous:
        return factor, cp.cuda.cublas.CUBLAS_OP_T, factor.shape[0]
    return cp.ascontiguousarray(factor), cp.cuda.cublas.CUBLAS_OP_N, factor.shape[1]


class _Gpu:
    """The memory of one GPU, as a `Device`; owns its upload buffers."""

    def __init__(self, index: int) -> None:
        self._index = index
        with _on_gpu(index):
            self._uploads = _Uploads()

    def enter(self) -> AbstractContextManager[None]:
        return _on_gpu(self._index)

    def to_device(self, host: AnyArray) -> Array:
        with _on_gpu(self._index):
            return cp.asarray(host)

    def to_host(self, array: Array) -> AnyArray:
        with _on_gpu(self._index):
            copy: AnyArray = cp.asnumpy(array)
        return copy

    def upload(self, host: AnyArray) -> AbstractContextManager[Array]:
        with _on_gpu(self._index):
            return self._uploads.begin(host)

    def free_bytes(self) -> int:
        """Return the free memory, including what CuPy's pool has cached."""
        with _on_gpu(self._index):
            free, _ = cp.cuda.runtime.memGetInfo()
            return int(free) + int(cp.get_default_memory_pool().free_bytes())

    def release(self) -> None:
        """Free the memory that CuPy has cached."""
        with _on_gpu(self._index):
            cp.fft.config.get_plan_cache().clear()  # work areas of FFTs
            cp.get_default_memory_pool().free_all_blocks()
            cp.get_default_pinned_memory_pool().free_all_blocks()

    def synchronise(self) -> None:
        with _on_gpu(self._index):
            cp.cuda.Device(self._index).synchronize()


@dataclass
class _Slot:
    """A buffer in pinned host memory, and one of the same size on the GPU."""

    pinned: Float32
    array: Array
    arrived: Any  # event: the copy is complete
    used: Any  # event: the computation on it is complete

    @classmethod
    def of(cls, size: int) -> _Slot:
        """Allocate buffers for `size` float32 values."""
        pinned, array = cupyx.empty_pinned((size,), np.float32), cp.empty(size, np.float32)
        # the pool may have given memory that a running kernel still reads
        cp.cuda.get_current_stream().synchronize()
        arrived, used = (cp.cuda.Event(block=True, disable_timing=True) for _ in range(2))
        return cls(pinned, array, arrived, used)


class _Uploads:
    """Copies images to a GPU on a separate stream, while kernels run.

    Slots are used in turn. A slot is refilled only when the computation on its images is done,
    for which it waits on an event: CuPy's memory pool does not synchronise streams.
    """

    def __init__(self) -> None:
        self._stream = cp.cuda.Stream(non_blocking=True)
        self._slots: queue.Queue[_Slot | None] = queue.Queue()
        for _ in range(_SLOTS):
            self._slots.put(None)  # allocated on first use

    def begin(self, host: Float32) -> AbstractContextManager[Array]:
        """Start to copy images, as soon as a slot is free."""
        slot = self._slots.get()
        try:
            slot = self._fill(slot, host)
        except BaseException:
            self._slots.put(None)
            raise
        return self._lend(slot, host.shape)

    def _fill(self, slot: _Slot | None, host: Float32) -> _Slot:
        if slot is not None:
            slot.used.synchronize()  # the kernels on its earlier images are done
        if slot is None or slot.pinned.size < host.size:
            slot = _Slot.of(host.size)
        np.copyto(slot.pinned[: host.size].reshape(host.shape), host)
        slot.array[: host.size].set(slot.pinned[: host.size], stream=self._stream)
        slot.arrived.record(self._stream)
        return slot

    @contextmanager
    def _lend(self, slot: _Slot, shape: tuple[int, ...]) -> Iterator[Array]:
        stream = cp.cuda.get_current_stream()
        try:
            stream.wait_event(slot.arrived)  # on the GPU: the host does not wait
            yield slot.array[: int(np.prod(shape))].reshape(shape)
        finally:
            slot.used.record(stream)
            self._slots.put(slot)


def _count() -> int:
    with _own_errors("the NVIDIA driver"):
        return int(cp.cuda.runtime.getDeviceCount())


def _about(index: int) -> GpuInfo:
    with _on_gpu(index):
        free, total = cp.cuda.runtime.memGetInfo()
        name = cp.cuda.runtime.getDeviceProperties(index)["name"]
    return GpuInfo(index, name.decode(), int(free), int(total))


@contextmanager
def _on_gpu(index: int) -> Iterator[None]:
    with _own_errors(f"gpu:{index}"), cp.cuda.Device(index):
        yield


@contextmanager
def _own_errors(where: str) -> Iterator[None]:
    """Translate the errors of CUDA's libraries; out of memory becomes a MemoryError."""
    try:
        yield
    except (RuntimeError, ImportError, cp.cuda.compiler.CompileException) as error:
        raise _translated(where, error) from error


def _translated(where: str, error: Exception) -> Exception:
    kind, message = type(error).__name__, str(error).strip().split("\n")[0]
    if any(word in message for word in _OUT_OF_MEMORY):
        return MemoryError(f"{where}: {message}")
    if any(word in message for word in _NO_DRIVER):
        return DeviceError(
            f"no NVIDIA GPU or driver was found ({message}); install a driver for the CUDA version "
            "of CuPy, and check that nvidia-smi lists the GPU"
        )
    if kind in _NO_LIBRARY:
        return DeviceError(
            f"CUDA's libraries do not work with this CuPy ({message}); {INSTALL_CUPY}"
        )
    return DeviceError(
        f"{where} failed ({kind}: {message}); check nvidia-smi, free the GPU and resume the run, "
        "or use device cpu"
    )
