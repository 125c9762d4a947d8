"""Choose the device a run computes on: the CPU, or one or more GPUs."""

from __future__ import annotations

import logging
import os
from contextlib import AbstractContextManager, nullcontext
from types import ModuleType
from typing import Any

import numpy as np
import scipy.fft

from napari_ini3d._types import AnyArray
from napari_ini3d.errors import DeviceError, SettingsError
from napari_ini3d.kernels.host_memory import free_memory
from napari_ini3d.kernels.types import INSTALL_CUPY, Array, Backend, GpuInfo

logger = logging.getLogger(__name__)

_UNKNOWN_FREE_BYTES = 4 << 30  # assumed where the system does not report free memory


class HostDevice:
    """The main memory, as a `Device`: its arrays are NumPy's, and nothing is copied."""

    def enter(self) -> AbstractContextManager[None]:
        return nullcontext()

    def to_device(self, host: AnyArray) -> Array:
        return host

    def to_host(self, array: Array) -> AnyArray:
        kept: AnyArray = array
        return kept

    def upload(self, host: AnyArray) -> AbstractContextManager[Array]:
        return nullcontext(host)

    def free_bytes(self) -> int:
        """Return the memory that may still be taken (`free_memory`), or 4 GiB if it is unknown."""
        found = free_memory()
        return _UNKNOWN_FREE_BYTES if found is None else found

    def release(self) -> None:
        """Do nothing: no memory is cached."""

    def synchronise(self) -> None:
        """Do nothing: a kernel returns when it is done."""


def list_gpus() -> list[GpuInfo]:
    """List the GPUs of this machine; empty if there are none or CuPy is not installed."""
    try:
        found: list[GpuInfo] = _import_gpu().find_gpus()
    except DeviceError:
        return []
    return found


def choose_backend(
    device: str, *, precision: str = "float32", deterministic: bool = True
) -> Backend:
    """Return the backend for the device that a user chose.

    Parameters
    ----------
    device : str
        "auto": all GPUs if there are any, otherwise the CPU. "cpu". "gpu": all GPUs of this
        machine; "gpu:1" one of them; "gpu:0,1" several.
    precision : str
        Precision of the matrix products on a GPU; see `InitialModelSettings`.
    deterministic : bool
        Whether sums on a GPU have the same bits in every run.

    Raises
    ------
    DeviceError
        If a GPU is requested and none can be used.
    SettingsError
        If the device is none of these.
    """
    kind, indices = _parse_device(device)
    if kind == "cpu":
        return _cpu_backend()
    try:
        backend: Backend = _import_gpu().make_backend(
            indices, precision, deterministic=deterministic
        )
        logger.info("computing on %s", ", ".join(gpu.name for gpu in backend.devices))
        return backend
    except DeviceError as error:
        if kind == "gpu":
            raise _device_error(device, error) from error
        logger.info("device auto: computing on the CPU, since %s", error)
        if precision != "float32":
            logger.warning("precision %s is for GPUs; the CPU computes in float32", precision)
    return _cpu_backend()


def check_device(device: str) -> None:
    """Check that `choose_backend` would accept a device, without compiling anything.

    Raises
    ------
    DeviceError, SettingsError
        As `choose_backend`.
    """
    kind, indices = _parse_device(device)
    if kind != "gpu":
        return
    try:
        _import_gpu().choose_gpus(indices)
    except DeviceError as error:
        raise _device_error(device, error) from error


def _device_error(device: str, error: DeviceError) -> DeviceError:
    return DeviceError(f"device is {device!r}, but {error}; or use auto or cpu")


def _parse_device(device: str) -> tuple[str, tuple[int, ...] | None]:
    """Return auto, cpu or gpu, and the indices of the GPUs that are named."""
    kind, colon, listed = device.partition(":")
    numbers = listed.split(",") if colon else []
    named = kind == "gpu" and all(n.isdecimal() for n in numbers)
    if kind not in ("auto", "cpu", "gpu") or (colon and not named):
        raise SettingsError(f"device is {device!r}; choose auto, cpu, gpu, gpu:1 or gpu:0,1")
    indices = tuple(int(n) for n in numbers)
    if len(set(indices)) < len(indices):
        raise SettingsError(f"device is {device!r}, which names a GPU twice; name each once")
    return kind, indices or None


def _import_gpu() -> ModuleType:
    """Import the module for GPUs, which needs CuPy."""
    try:
        import napari_ini3d.kernels.gpu as gpu
    except ImportError as error:
        raise DeviceError(f"CuPy is not installed here ({error}); {INSTALL_CUPY}") from error
    return gpu


def available_threads(requested: int) -> int:
    """Return the number of threads to use; 0 means all cores this process may run on."""
    if requested:
        return requested
    affinity: Any = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def _cpu_backend() -> Backend:
    from napari_ini3d.kernels import cpu

    return Backend("cpu", np, scipy.fft, cpu, HostDevice())
