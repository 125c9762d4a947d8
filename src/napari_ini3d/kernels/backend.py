"""The device a run computes on, chosen once and passed down."""

from __future__ import annotations

import logging
import os
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import scipy.fft

from napari_ini3d._types import AnyArray
from napari_ini3d.errors import DeviceError, SettingsError
from napari_ini3d.kernels.types import Array, Backend, GpuInfo

logger = logging.getLogger(__name__)

_UNKNOWN_FREE_BYTES = 4 << 30  # taken to be free where the system does not tell


class HostDevice:
    """The memory of this machine."""

    def enter(self) -> AbstractContextManager[None]:
        """Do nothing: every thread can reach it."""
        return nullcontext()

    def to_device(self, host: AnyArray) -> Array:
        """Return the array itself."""
        return host

    def to_host(self, array: Array) -> AnyArray:
        """Return the array itself."""
        kept: AnyArray = array
        return kept

    def upload(self, host: AnyArray) -> AbstractContextManager[Array]:
        """Return what gives the array itself."""
        return nullcontext(host)

    def free_bytes(self) -> int:
        """Return the memory that is free or can be freed, as far as the system tells."""
        try:
            lines = Path("/proc/meminfo").read_text("ascii").splitlines()
            (available,) = (line for line in lines if line.startswith("MemAvailable:"))
            return 1024 * int(available.split()[1])
        except (OSError, ValueError):  # no Linux, or a very old one
            return _UNKNOWN_FREE_BYTES

    def release(self) -> None:
        """Do nothing: no memory is kept."""

    def synchronise(self) -> None:
        """Do nothing: whoever calls a kernel waits for it."""


def list_gpus() -> list[GpuInfo]:
    """Return the cards a run can be given; an empty list where there are none, or no CuPy."""
    try:
        found: list[GpuInfo] = _import_gpu().find_gpus()
    except DeviceError:
        return []
    return found


def choose_backend(
    device: str, *, precision: str = "float32", deterministic: bool = True
) -> Backend:
    """Return the backend for a device as users name it.

    Parameters
    ----------
    device : str
        "auto": all GPUs where there are any, otherwise the CPU. "cpu". "gpu": all cards of this
        machine, "gpu:1" one of them, "gpu:0,1" some.
    precision : str
        Of the matrix products of a GPU; see `InitialModelSettings`.
    deterministic : bool
        Whether a GPU adds in a way that gives the same bits every time.

    Raises
    ------
    DeviceError
        If a GPU is asked for and cannot be had: what was found, and what to do.
    SettingsError
        If the name is none of these.
    """
    kind, cards = _parse_device(device)
    if kind == "cpu":
        return _cpu_backend()
    try:
        backend: Backend = _import_gpu().make_backend(cards, precision, deterministic=deterministic)
        logger.info("computing on %s", ", ".join(card.name for card in backend.devices))
        return backend
    except DeviceError as error:
        if kind == "gpu":
            raise _refusal(device, error) from error
        logger.info("device auto: computing on the CPU, since %s", error)
        if precision != "float32":
            logger.warning("precision %s is for GPUs; the CPU computes in float32", precision)
    return _cpu_backend()


def check_device(device: str) -> None:
    """Refuse a device that is not there, as `choose_backend` does; nothing is compiled.

    Raises
    ------
    DeviceError, SettingsError
    """
    kind, cards = _parse_device(device)
    if kind != "gpu":
        return
    try:
        _import_gpu().choose_gpus(cards)
    except DeviceError as error:
        raise _refusal(device, error) from error


def _refusal(device: str, error: DeviceError) -> DeviceError:
    return DeviceError(f"device is {device!r}, but {error}; or use auto or cpu")


def _parse_device(device: str) -> tuple[str, tuple[int, ...] | None]:
    """Return auto, cpu or gpu, and the cards that are named."""
    kind, colon, listed = device.partition(":")
    numbers = listed.split(",") if colon else []
    named = kind == "gpu" and all(n.isdecimal() for n in numbers)
    if kind not in ("auto", "cpu", "gpu") or (colon and not named):
        raise SettingsError(f"device is {device!r}; choose auto, cpu, gpu, gpu:1 or gpu:0,1")
    cards = tuple(int(n) for n in numbers)
    if len(set(cards)) < len(cards):
        raise SettingsError(f"device is {device!r}, which names a card twice; name each once")
    return kind, cards or None


def _import_gpu() -> ModuleType:
    """Return the module of the cards, which needs CuPy."""
    try:
        import napari_ini3d.kernels.gpu as gpu
    except ImportError as error:
        raise DeviceError(
            f"CuPy is not installed here ({error}); install napari-ini3d[cuda12] or "
            "napari-ini3d[cuda13], by the CUDA version that nvidia-smi shows"
        ) from error
    return gpu


def available_threads(asked: int) -> int:
    """Return the number of threads to use; `asked` 0 means all this process may run on."""
    if asked:
        return asked
    affinity: Any = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def _cpu_backend() -> Backend:
    from napari_ini3d.kernels import cpu

    return Backend("cpu", np, scipy.fft, cpu, HostDevice())
