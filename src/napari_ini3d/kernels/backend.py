"""The device a run computes on, chosen once and passed down."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from napari_ini3d.errors import DeviceError, SettingsError

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Backend:
    """The kernels of one device; see `kernels.cpu` for what each does.

    Attributes
    ----------
    name : str
        For people.
    """

    name: str
    project: Callable[..., None]
    backproject: Callable[..., None]
    symmetrise: Callable[..., None]
    dense_posterior: Callable[..., None]
    significant_rotations: Callable[..., None]
    fine_products: Callable[..., None]


def choose_backend(device: str) -> Backend:
    """Return the backend for a device as users name it.

    Parameters
    ----------
    device : str
        "auto", "cpu", "gpu" or "gpu:N".

    Raises
    ------
    DeviceError
        If a GPU is asked for: this version computes on the CPU only.
    SettingsError
        If the name is none of these.
    """
    kind, _, number = device.partition(":")
    if kind not in ("auto", "cpu", "gpu") or (number and (kind != "gpu" or not number.isdigit())):
        raise SettingsError(f"device is {device!r}; choose auto, cpu, gpu or gpu:1")
    if kind == "gpu":
        raise DeviceError(
            f"device is {device!r}, but this version has no GPU backend yet; use auto or cpu"
        )
    if kind == "auto":
        logger.info("device auto: computing on the CPU (this version has no GPU backend yet)")
    return _cpu_backend()


def available_threads(asked: int) -> int:
    """Return the number of threads to use; `asked` 0 means all this process may run on."""
    if asked:
        return asked
    affinity: Any = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def _cpu_backend() -> Backend:
    from napari_ini3d.kernels import cpu

    return Backend(
        "cpu",
        cpu.project,
        cpu.backproject,
        cpu.symmetrise,
        cpu.dense_posterior,
        cpu.significant_rotations,
        cpu.fine_products,
    )
