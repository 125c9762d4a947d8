"""Launch CUDA kernels: their sources, and arguments checked against them."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from importlib import resources
from typing import Any

import numpy as np

THREADS = 512
"""Threads per block of every kernel on a GPU; a power of two."""

COMPILE_OPTIONS = (f"-DTHREADS={THREADS}",)
"""Options of NVRTC; CuPy adds the architecture."""

Launch = Callable[[str, int, tuple[Any, ...]], None]
"""Launch a kernel: its name, the number of blocks, its arguments."""

_COMMON = "common.cuh"
_DTYPES = {
    "float2": np.complex64,
    "float": np.float32,
    "double": np.float64,
    "int": np.int32,
    "int64": np.int64,
    "uint64": np.uint64,
}


def kernel_source() -> str:
    """Return the sources of all kernels as one translation unit."""
    folder = resources.files("napari_ini3d.kernels").joinpath("cuda")
    files = sorted(folder.iterdir(), key=lambda file: file.name)
    parts = [file.read_text("utf-8") for file in files if file.name.endswith(".cu")]
    include = f'#include "{_COMMON}"\n'
    common = folder.joinpath(_COMMON).read_text("utf-8").replace("#pragma once\n", "")
    return common + "".join(part.replace(include, "") for part in parts)


@dataclass(frozen=True, slots=True)
class _Parameter:
    """A parameter of a kernel, as its source declares it."""

    name: str
    dtype: np.dtype[Any]
    is_array: bool
    is_output: bool

    def checked(self, xp: Any, value: Any) -> Any:
        """Return an argument as the kernel expects it.

        Inputs are converted to a contiguous array of the right type, where they are none.

        Raises
        ------
        TypeError
            If an output is not contiguous or has another type.
        """
        if not self.is_array:
            return self.dtype.type(value)
        if value.dtype == self.dtype and value.flags.c_contiguous:
            return value
        if not self.is_output:
            return xp.ascontiguousarray(value, dtype=self.dtype)
        order = "contiguous" if value.flags.c_contiguous else "strided"
        raise TypeError(
            f"an output array is {order} {value.dtype}; the kernels write contiguous {self.dtype}"
        )


def kernel_parameters(source: str) -> dict[str, tuple[_Parameter, ...]]:
    """Return the parameters of each kernel of a source; pointers to non-constants are outputs."""
    found = {}
    for kernel, listed in re.findall(r"__global__ void (\w+)\(([^)]*)\)", source):
        parameters = []
        for declared in listed.split(","):
            *qualifiers, kind, name = declared.split()
            dtype = np.dtype(_DTYPES[kind.rstrip("*")])
            is_array = kind.endswith("*")
            is_output = is_array and "const" not in qualifiers
            parameters.append(_Parameter(name, dtype, is_array, is_output))
        found[kernel] = tuple(parameters)
    return found


class Launcher:
    """Launches kernels with checked arguments.

    Parameters
    ----------
    xp : module
        CuPy, or a stand-in.
    launch : Launch
    threads : int
        Threads per block, as compiled.
    """

    def __init__(self, xp: Any, launch: Launch, threads: int) -> None:
        self._xp = xp
        self._launch = launch
        self._threads = threads
        self._parameters = kernel_parameters(kernel_source())

    def blocks(self, name: str, blocks: int, *arguments: Any) -> None:
        """Launch a kernel on a number of blocks."""
        parameters, xp = self._parameters[name], self._xp
        checked = [p.checked(xp, a) for p, a in zip(parameters, arguments, strict=True)]
        if blocks:  # CUDA refuses an empty grid
            self._launch(name, blocks, tuple(checked))

    def elements(self, name: str, count: int, *arguments: Any) -> None:
        """Launch a kernel with a thread for each of some elements."""
        self.blocks(name, self.blocks_of(count), *arguments)

    def blocks_of(self, count: int) -> int:
        """Return how many blocks have a thread for each of some elements."""
        return -(-count // self._threads)
