"""The NVIDIA cards of this machine, by CuPy; the only module that imports it.

CuPy's errors are RuntimeErrors, which vanish in napari's workers: none leaves this module's
contexts as it is. Nothing here is imported before a GPU has been asked for.
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
from napari_ini3d.kernels.cuda_kernels import (
    THREADS,
    CudaKernels,
    kernel_source,
    scaled_product,
)
from napari_ini3d.kernels.types import Array, Backend, GpuInfo

_SLOTS = 3  # tiles on their way to a card: one in use, one that waits, one that is copied
_OUT_OF_MEMORY = (
    "cudaErrorMemoryAllocation",
    "ALLOC_FAILED",
    "CUDA_ERROR_OUT_OF_MEMORY",
    "CUBLAS_STATUS_NOT_INITIALIZED",  # what making its handle says where memory is gone
)
_STREAMS_APART = "CUPY_CUDA_PER_THREAD_DEFAULT_STREAM"
_NO_DRIVER = ("cudaErrorNoDevice", "cudaErrorInsufficientDriver", "cudaErrorStubLibrary")
_NO_LIBRARY = ("CompileException", "NVRTCError", "DynamicLibNotFoundError", "ImportError")
_EXTRAS = (
    "install napari-ini3d[cuda12] or napari-ini3d[cuda13], "
    "by the CUDA version that nvidia-smi shows"
)
_ROUNDED = {"tf32": "TF32", "fp16": "16F", "bf16": "16BF"}  # in the names of cuBLAS


def find_gpus() -> list[GpuInfo]:
    """Return the cards of this machine.

    Raises
    ------
    DeviceError
        If there is none, or no driver.
    """
    return [_about(index) for index in range(_count())]


def choose_gpus(cards: tuple[int, ...] | None) -> tuple[int, ...]:
    """Return some cards, or all where none are named.

    Raises
    ------
    DeviceError
        If a card is not there.
    """
    count = _count()
    chosen = cards or tuple(range(count))
    if max(chosen) >= count:
        found = ", ".join(f"gpu:{i} ({_about(i).name})" for i in range(count))
        raise DeviceError(f"this machine has no card {max(chosen)}; choose of {found}")
    return chosen


def make_backend(cards: tuple[int, ...] | None, precision: str, *, deterministic: bool) -> Backend:
    """Return the backend of some cards, or of all; see `backend.choose_backend`.

    Raises
    ------
    DeviceError
        If a card is not there, or does not work.
    """
    chosen = choose_gpus(cards)
    if os.environ.get(_STREAMS_APART, "0") != "0":
        raise DeviceError(
            f"{_STREAMS_APART} is set, but the sums of a card's threads are added on one stream; "
            "unset it"
        )
    module = cp.RawModule(code=kernel_source(), options=(f"-DTHREADS={THREADS}",))
    backends = [_gpu_backend(i, module, precision, deterministic) for i in chosen]
    return replace(backends[0], others=tuple(backends[1:]))


def _gpu_backend(index: int, module: Any, precision: str, deterministic: bool) -> Backend:
    info = _about(index)
    function = cache(module.get_function)
    with _on_gpu(index):  # what is missing shows now: CuPy loads libraries when they are needed
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
            f"the compiled kernels cannot be kept ({error}); set CUPY_CACHE_DIR to a folder that "
            "can be written"
        ) from error


def _product(precision: str) -> Callable[..., Array]:
    """Return the product of matrices of float32 that are rounded to a precision beforehand."""
    if precision == "float32":
        return lambda a, b, out=None: cp.matmul(a, b, out=out)
    # CuPy itself knows of TF32 only
    compute_type = getattr(cp.cuda.cublas, f"CUBLAS_COMPUTE_32F_FAST_{_ROUNDED[precision]}")

    def matmul(a: Array, b: Array, out: Array | None = None) -> Array:
        if out is None:
            out = cp.empty((a.shape[0], b.shape[1]), np.float32)
        _multiply(a, b, out, compute_type)
        return out

    return scaled_product(cp, matmul) if precision == "fp16" else matmul


def _multiply(a: Array, b: Array, out: Array, compute_type: int) -> None:
    """Fill `out` (m, n), contiguous, with the product of (m, k) and (k, n), by cuBLAS.

    Its matrices are stored by columns, so that it is asked for the transposed product.
    """
    (m, k), n = a.shape, b.shape[1]
    if not out.size:
        return
    one, zero = np.ones((), np.float32), np.zeros((), np.float32)
    (a, turn_a, step_a), (b, turn_b, step_b) = (_by_columns(factor) for factor in (a, b))
    float32 = cp.cuda.runtime.CUDA_R_32F
    cp.cuda.cublas.gemmEx(
        cp.cuda.device.get_cublas_handle(),
        *(turn_b, turn_a, n, m, k),
        one.ctypes.data,
        *(b.data.ptr, float32, step_b),
        *(a.data.ptr, float32, step_a),
        zero.ctypes.data,
        *(out.data.ptr, float32, n),
        compute_type,
        cp.cuda.cublas.CUBLAS_GEMM_DEFAULT,
    )


def _by_columns(factor: Array) -> tuple[Array, int, int]:
    """Return a matrix, whether its transpose is wanted of what lies in memory, and its step."""
    if factor.flags.f_contiguous and not factor.flags.c_contiguous:
        return factor, cp.cuda.cublas.CUBLAS_OP_T, factor.shape[0]
    return cp.ascontiguousarray(factor), cp.cuda.cublas.CUBLAS_OP_N, factor.shape[1]


class _Gpu:
    """The memory of one card, see `backend.Device`; owns the way images take to it."""

    def __init__(self, index: int) -> None:
        self._index = index
        with _on_gpu(index):
            self._uploads = _Uploads()

    def enter(self) -> AbstractContextManager[None]:
        """Make it the device of this thread."""
        return _on_gpu(self._index)

    def to_device(self, host: AnyArray) -> Array:
        """Return a copy on the card."""
        with _on_gpu(self._index):
            return cp.asarray(host)

    def to_host(self, array: Array) -> AnyArray:
        """Return a copy on the host."""
        with _on_gpu(self._index):
            copy: AnyArray = cp.asnumpy(array)
        return copy

    def upload(self, host: AnyArray) -> AbstractContextManager[Array]:
        """Begin to copy images to the card."""
        with _on_gpu(self._index):
            return self._uploads.begin(host)

    def free_bytes(self) -> int:
        """Return what is free on the card, and what is kept for arrays to come."""
        with _on_gpu(self._index):
            free, _ = cp.cuda.runtime.memGetInfo()
            return int(free) + int(cp.get_default_memory_pool().free_bytes())

    def release(self) -> None:
        """Give memory back that is kept for arrays to come."""
        with _on_gpu(self._index):
            cp.fft.config.get_plan_cache().clear()  # work areas of transforms
            cp.get_default_memory_pool().free_all_blocks()
            cp.get_default_pinned_memory_pool().free_all_blocks()

    def synchronise(self) -> None:
        """Wait until all that was begun on the card is done."""
        with _on_gpu(self._index):
            cp.cuda.Device(self._index).synchronize()


@dataclass
class _Slot:
    """A buffer in pinned memory and its twin on the card."""

    pinned: Float32
    array: Array
    arrived: Any
    used: Any

    @classmethod
    def of(cls, size: int) -> _Slot:
        """Return a slot for a number of float32."""
        pinned, array = cupyx.empty_pinned((size,), np.float32), cp.empty(size, np.float32)
        # where the array lies now, the computation may still be reading what lay there before
        cp.cuda.get_current_stream().synchronize()
        arrived, used = (cp.cuda.Event(block=True, disable_timing=True) for _ in range(2))
        return cls(pinned, array, arrived, used)


class _Uploads:
    """Copies images to a card on a stream of their own, beside the computation.

    The slots are used in turn. One is filled again only when the computation on its images is
    done, which an event tells: CuPy's memory pools know of one stream only.
    """

    def __init__(self) -> None:
        self._stream = cp.cuda.Stream(non_blocking=True)
        self._slots: queue.Queue[_Slot | None] = queue.Queue()
        for _ in range(_SLOTS):
            self._slots.put(None)  # memory is taken when it is needed

    def begin(self, host: Float32) -> AbstractContextManager[Array]:
        """Begin to copy; waits for a slot."""
        slot = self._slots.get()
        try:
            slot = self._fill(slot, host)
        except BaseException:
            self._slots.put(None)
            raise
        return self._lend(slot, host.shape)

    def _fill(self, slot: _Slot | None, host: Float32) -> _Slot:
        if slot is not None:
            slot.used.synchronize()
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
            stream.wait_event(slot.arrived)
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
    """Turn the errors of CUDA's libraries into ours; want of memory into a MemoryError."""
    try:
        yield
    except (RuntimeError, ImportError, cp.cuda.compiler.CompileException) as error:
        raise _translated(where, error) from error


def _translated(where: str, error: Exception) -> Exception:
    kind, said = type(error).__name__, str(error).strip().split("\n")[0]
    if any(word in said for word in _OUT_OF_MEMORY):
        return MemoryError(f"{where}: {said}")
    if any(word in said for word in _NO_DRIVER):
        return DeviceError(
            f"no NVIDIA card or driver answers ({said}); install a driver for the CUDA version of "
            "CuPy, and see that nvidia-smi lists the card"
        )
    if kind in _NO_LIBRARY:
        return DeviceError(f"CUDA's libraries do not work with this CuPy ({said}); {_EXTRAS}")
    return DeviceError(
        f"{where} failed ({kind}: {said}); see nvidia-smi, free the card, and resume the run, "
        "or use device cpu"
    )
