"""Backend, kernels and device: the protocols that the engine computes with.

Shapes in the docstrings: B images, S shifts, T fine shifts, R rotations or slices, K classes, P
Fourier components of a slice, N rows of the fine pass, and a half cube of radius m.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from napari_ini3d._types import AnyArray
from napari_ini3d.kernels.records import NullEvidence, PosePrior, Rows

Array = Any
"""An array of a backend's array module; CuPy's arrays have no static type."""

INSTALL_CUPY = (
    "install napari-ini3d[cuda12] or napari-ini3d[cuda13], "
    "to match the CUDA version that nvidia-smi shows"
)
"""Advice of an error where CuPy is missing or does not work."""


class Kernels(Protocol):
    """The operations that are written once per device; `kernels.cpu` documents the arguments.

    All arrays are arrays of the backend. Outputs are contiguous and allocated by the caller.
    """

    def project(self, map_ft: Array, matrices: Array, kx: Array, ky: Array, out: Array) -> None:
        """Project a map: R central sections (R, P) of its half cube, trilinear."""

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
        """Backproject slices and their weights (R, P): add them to half cubes, trilinear."""

    def symmetrise(
        self,
        numerator: Array,
        denominator: Array,
        operators: Array,
        out_numerator: Array,
        out_denominator: Array,
    ) -> None:
        """Sum a half cube and its weights over the operators of a point group."""

    def dense_posterior(self, scores: Array, norm: Array, log_prior: Array, summary: Array) -> None:
        """Convert scores (B, S, R) to posterior weights over all shifts and rotations, in place."""

    def significant_rotations(
        self, weights: Array, share: float, most: int, rotation: Array, shift: Array, count: Array
    ) -> None:
        """Find the rotations of each image that have significant posterior weight."""

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
        """Multiply images by the complex conjugate of the slices they are compared with, (N, P)."""

    def fine_posterior(
        self, scores: Array, first: Array, share: float, row_max: Array, summary: Array
    ) -> None:
        """Convert the scores of the fine poses to posterior weights, in place."""

    def bincount_sum(self, group: Array, values: Array, out: Array) -> None:
        """Sum the values of each group, in a fixed order."""

    def matmul(self, a: Array, b: Array, out: Array | None = None) -> Array:
        """Multiply two float32 matrices."""

    def normalise_images(
        self,
        images: Array,
        weight: Array,
        planes: Array,
        mask: Array,
        shift: Array,
        sign: float,
        whole: Array,
        masked: Array,
    ) -> None:
        """Normalise and shift images (B, n, n), without and with a mask."""

    def disk_components(
        self,
        whole: Array,
        masked: Array,
        place: Array,
        factor: Array,
        first: Array,
        typical: Array,
        limits: Array,
        components: Array,
        excess: Array,
        weight: Array,
        image_power: Array,
    ) -> None:
        """Take components from transforms, with the power and the weight of each shell."""

    def ctf_values(
        self,
        terms: Array,
        kx: Array,
        ky: Array,
        unit: float,
        wavelength: float,
        spherical: float,
        ignore_first_peak: bool,
        phase_flipped: bool,
        out: Array,
    ) -> None:
        """Compute the CTF of B images at P frequencies."""

    def weigh_images(
        self,
        components: Array,
        ctf: Array,
        shell: Array,
        shell_weight: Array,
        sigma2: Array,
        scale: Array,
        premultiplied: bool,
        weighted: Array,
        ctf2: Array,
    ) -> None:
        """Weight images (B, P) by CTF, noise, shell and scale."""

    def coarse_log_prior(self, prior: PosePrior, out: Array) -> None:
        """Compute the log prior (B, S, K) of all shifts and classes."""

    def coarse_best_poses(
        self, weights: Array, summary: Array, n_classes: int, share: float, best: Array
    ) -> Array:
        """Record the best coarse poses, and return the weight of each rotation, (B, K·R)."""

    def list_rows(
        self, rotation: Array, shift: Array, count: Array, n_rotations: int, n_children: int
    ) -> tuple[Rows, Array]:
        """Return the children of the significant rotations, and the first of each image."""

    def add_fine_log_prior(
        self, prior: PosePrior, rows: Rows, fine_shifts: Array, norm: Array, scores: Array
    ) -> None:
        """Add the log prior to the scores (N, T), and subtract the norm (N,), in place."""

    def fine_best_poses(
        self,
        summary: Array,
        norm: Array,
        rows: Rows,
        prior: PosePrior,
        fine_shifts: Array,
        scale: Array,
        null: NullEvidence,
        log_cell: float,
        best: Array,
    ) -> Array:
        """Record the best fine poses, and return the number of significant rows, (B,)."""

    def keep_rows(
        self,
        posterior: Array,
        row_max: Array,
        first: Array,
        rows: Rows,
        share: float,
        best: Array,
        count: Array,
    ) -> tuple[Rows, Array, Array]:
        """Return the rows with weight, their weights (M, T) and the sum of each, (M,)."""

    def weigh_rows(
        self,
        rows: Rows,
        total: Array,
        images: Array,
        shift_phase: Array,
        ctf2: Array,
        numerator: Array,
        denominator: Array,
    ) -> None:
        """Turn sums over fine shifts (N, P) into numerators of slices, with denominators."""

    def explained_power(
        self, slices: Array, row_slice: Array, numerator: Array, denominator: Array
    ) -> Array:
        """Return the power that slices explain, (P,), summed over the rows."""


class Device(Protocol):
    """The memory of a CPU or a GPU, and the copies to and from it."""

    def enter(self) -> AbstractContextManager[None]:
        """Make this the current device of the thread; errors of CUDA become `DeviceError`."""

    def to_device(self, host: AnyArray) -> Array:
        """Return a copy on the device; on the CPU the array itself."""

    def to_host(self, array: Array) -> AnyArray:
        """Return a copy on the host; on the CPU the array itself."""

    def upload(self, host: AnyArray) -> AbstractContextManager[Array]:
        """Start an asynchronous copy to the device; its context yields the copy.

        The context waits until the copy is complete. The array is valid within the context, in
        one thread.
        """

    def free_bytes(self) -> int:
        """Return the memory that new arrays can take."""

    def release(self) -> None:
        """Free the memory that is cached for new arrays."""

    def synchronise(self) -> None:
        """Wait until all kernels and copies are done."""


@dataclass(frozen=True, slots=True)
class Backend:
    """One or more devices of a kind: array module, kernels and memory of the first, and the others.

    Attributes
    ----------
    name : str
        To show to users, for example "cpu" or "gpu:0 NVIDIA H100".
    xp, fft : module
        `numpy` and `scipy.fft`, or `cupy` and `cupyx.scipy.fft`.
    kernels : Kernels
    device : Device
    is_gpu : bool
    others : tuple of Backend
        Further GPUs that share the images of an iteration with this one.
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
        """The backends of all devices, one each, this one first."""
        return (self, *self.others)

    def to_device(self, host: AnyArray) -> Array:
        """Return a copy on the device; on the CPU the array itself."""
        return self.device.to_device(host)

    def to_device_together(self, arrays: Mapping[str, AnyArray]) -> dict[str, Array]:
        """Return copies of several arrays on the device, in one transfer; on the CPU themselves."""
        if not self.is_gpu:
            return dict(arrays)
        # the largest items first, so that each array begins at a multiple of its item size
        ordered = sorted(arrays.items(), key=lambda item: -item[1].itemsize)
        parts = [np.ascontiguousarray(array).view(np.uint8).ravel() for _, array in ordered]
        packed, found, low = self.device.to_device(np.concatenate(parts)), {}, 0
        for (name, array), part in zip(ordered, parts, strict=True):
            mine = packed[low : low + part.size]
            found[name] = mine.view(array.dtype).reshape(array.shape)
            low += part.size
        return found

    def to_host(self, array: Array) -> AnyArray:
        """Return a copy on the host; on the CPU the array itself."""
        return self.device.to_host(array)


@dataclass(frozen=True, slots=True)
class GpuInfo:
    """A GPU of this machine.

    Attributes
    ----------
    index : int
        Its number in the device ``gpu:index``.
    name : str
    free_bytes, total_bytes : int
        Memory of the GPU.
    """

    index: int
    name: str
    free_bytes: int
    total_bytes: int
