"""A backend: an array module, its kernels and its device, as the engine sees them."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

from napari_ini3d._types import AnyArray

Array = Any
"""An array of a backend's module; on a GPU it has no type that a checker knows."""


class Kernels(Protocol):
    """What is written once per device; `kernels.cpu` says what each does.

    All arrays are those of the backend, those that are filled contiguous.
    """

    def project(self, map_ft: Array, matrices: Array, kx: Array, ky: Array, out: Array) -> None:
        """Fill `out` with central sections."""

    def backproject(
        self,
        numerator: Array,
        denominator: Array,
        matrices: Array,
        kx: Array,
        ky: Array,
        map_numerator: Array,
        map_denominator: Array,
    ) -> None:
        """Add slices to a half cube."""

    def symmetrise(
        self,
        numerator: Array,
        denominator: Array,
        operators: Array,
        out_numerator: Array,
        out_denominator: Array,
    ) -> None:
        """Sum a half cube over the operators of a point group."""

    def dense_posterior(self, scores: Array, norm: Array, log_prior: Array, summary: Array) -> None:
        """Turn scores into posterior weights, in place."""

    def significant_rotations(
        self, weights: Array, share: float, most: int, rotation: Array, shift: Array, count: Array
    ) -> None:
        """Find the rotations that may hold the pose of each image."""

    def conjugate_products(
        self,
        slices: Array,
        row_slice: Array,
        row_image: Array,
        row_shift: Array,
        images: Array,
        shift_phase: Array,
        ctf2: Array,
        out: Array,
        norm: Array,
    ) -> None:
        """Multiply images by conjugate slices."""

    def fine_posterior(
        self, scores: Array, first: Array, share: float, row_max: Array, summary: Array
    ) -> None:
        """Turn the scores of fine poses into posterior weights, in place."""

    def shift_images(self, images: Array, by: Array, out: Array) -> None:
        """Move images by whole pixels."""

    def bincount_sum(self, group: Array, values: Array, out: Array) -> None:
        """Sum the values of each group, in a fixed order."""

    def matmul(self, a: Array, b: Array, out: Array | None = None) -> Array:
        """Return the product of two matrices."""


class Device(Protocol):
    """Where arrays live, and the ways there and back."""

    def enter(self) -> AbstractContextManager[None]:
        """Make it the device of this thread; errors of its libraries leave as `DeviceError`."""

    def to_device(self, host: AnyArray) -> Array:
        """Return a copy on the device; on the CPU the array itself."""

    def to_host(self, array: Array) -> AnyArray:
        """Return a copy on the host; on the CPU the array itself."""

    def upload(self, host: AnyArray) -> AbstractContextManager[Array]:
        """Begin to copy to the device, and return what gives the copy once it has arrived.

        The copy may be used, by one thread, within the context.
        """

    def free_bytes(self) -> int:
        """Return the memory that arrays may take."""

    def release(self) -> None:
        """Give memory back that is kept for arrays to come."""

    def synchronise(self) -> None:
        """Wait until all that was begun is done."""


@dataclass(frozen=True, slots=True)
class Backend:
    """One device: its array module, its kernels, its memory.

    Attributes
    ----------
    name : str
        For people.
    xp, fft : module
        `numpy` and `scipy.fft`, or what stands for them on a GPU.
    kernels : Kernels
    device : Device
    is_gpu : bool
    others : tuple of Backend
        Further cards that share the images of an iteration.
    """

    name: str
    xp: Any
    fft: Any
    kernels: Kernels
    device: Device
    is_gpu: bool = False
    others: tuple[Backend, ...] = ()

    @property
    def devices(self) -> tuple[Backend, ...]:
        """The devices that share the work; this one first."""
        return (self, *self.others)

    def to_device(self, host: AnyArray) -> Array:
        """Return a copy on the device; on the CPU the array itself."""
        return self.device.to_device(host)

    def to_host(self, array: Array) -> AnyArray:
        """Return a copy on the host; on the CPU the array itself."""
        return self.device.to_host(array)


@dataclass(frozen=True, slots=True)
class GpuInfo:
    """A card of this machine.

    Attributes
    ----------
    index : int
        As in the device ``gpu:index``.
    name : str
    free_bytes, total_bytes : int
        Of its memory.
    """

    index: int
    name: str
    free_bytes: int
    total_bytes: int
