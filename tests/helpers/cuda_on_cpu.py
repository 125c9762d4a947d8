"""Compile CUDA sources for the CPU, through `cuda_on_cpu.h`, and run them block by block."""

import ctypes
import os
import re
import shutil
import subprocess
import tempfile
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest

_HEADER = Path(__file__).with_name("cuda_on_cpu.h")
_TYPES = {
    "float2": np.complex64,
    "float": np.float32,
    "double": np.float64,
    "int": np.int32,
    "int64": np.int64,
    "uint64": np.uint64,
}


class _Guarded:
    """A copy of an array between guard bytes, 0xFF (NaN or -1), which must stay unchanged."""

    _GUARD = 4096

    def __init__(self, array: np.ndarray) -> None:
        self._array = array
        self._bytes = np.full(array.nbytes + 2 * self._GUARD, 0xFF, np.uint8)
        inside = self._bytes[self._GUARD : self._GUARD + array.nbytes]
        self._copy = inside.view(array.dtype).reshape(array.shape)
        self._copy[...] = array
        self.pointer = ctypes.c_void_p(self._copy.ctypes.data)

    def copy_back(self) -> bool:
        """Copy the result back, and return whether the guard bytes are unchanged."""
        self._array[...] = self._copy
        ends = self._bytes[: self._GUARD], self._bytes[-self._GUARD :]
        return all((end == 0xFF).all() for end in ends)


class CompiledKernels:
    """The kernels of a source; checks every argument against the parameters of the kernel.

    With `backwards`, the last thread of the last block runs first.
    """

    def __init__(self, source: str, threads: int, *, backwards: bool = False) -> None:
        self._library = _compile(source, threads, backwards=backwards)
        self._parameters = _parameters(source)

    def launch(self, name: str, blocks: int, arguments: tuple) -> None:
        """Run a kernel on NumPy arrays and scalars."""
        parameters = self._parameters[name]
        assert blocks > 0, f"{name}: CUDA refuses an empty grid"
        assert len(arguments) == len(parameters), f"{name}: {len(arguments)} arguments"
        held: list[ctypes.c_void_p | np.ndarray] = []
        guarded: dict[str, _Guarded] = {}
        for (kind, is_pointer, label), value in zip(parameters, arguments, strict=True):
            assert value.dtype == _TYPES[kind], f"{name}: {label} is {value.dtype}, not {kind}"
            if is_pointer:
                assert value.flags.c_contiguous, f"{name}: {label} is not contiguous"
                guarded[label] = _Guarded(value)
                held.append(guarded[label].pointer)
            else:
                held.append(np.array(value))
        addresses = [
            h.ctypes.data if isinstance(h, np.ndarray) else ctypes.addressof(h) for h in held
        ]
        failed = getattr(self._library, f"run_{name}")(
            ctypes.c_uint(blocks), (ctypes.c_void_p * len(held))(*addresses)
        )
        assert not failed, f"{name}: some threads wait at a barrier that others never reach"
        for label, array in guarded.items():
            assert array.copy_back(), f"{name}: writes outside of {label}"


def _parameters(source: str) -> dict[str, list[tuple[str, bool, str]]]:
    """Return the parameters of each kernel: type, whether it is a pointer, name."""
    found = {}
    for name, listed in re.findall(r"__global__ void (\w+)\(([^)]*)\)", source):
        words = [re.sub(r"\bconst\b", "", part).split() for part in listed.split(",")]
        found[name] = [(w[0].rstrip("*"), w[0].endswith("*"), w[-1]) for w in words]
    return found


def find_compiler() -> str:
    """Return the path of g++; without it, skip the test, or fail it in CI."""
    compiler = shutil.which("g++")
    if compiler is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("g++ is not installed")
    return compiler


@lru_cache
def _compile(source: str, threads: int, *, backwards: bool) -> ctypes.CDLL:
    kernels = "".join(f"CUDA_KERNEL({name})\n" for name in _parameters(source))
    with tempfile.TemporaryDirectory(prefix="ini3d-cuda-") as folder:
        code, library = Path(folder) / "kernels.cpp", Path(folder) / "kernels.so"
        # in an anonymous namespace, all shared memory can be put in one section
        code.write_text(f'#include "{_HEADER}"\nnamespace {{\n{source}\n}}\n{kernels}')
        command = [find_compiler(), "-std=c++17", "-O1", "-U_FORTIFY_SOURCE", "-shared", "-fPIC"]
        # libraries for other numbers of threads may be loaded too: they must not share variables
        command += ["-fvisibility=hidden", "-fno-gnu-unique"]
        command += ["-DBACKWARDS"] if backwards else []
        command += [f"-DTHREADS={threads}", "-o", str(library), str(code)]
        subprocess.run(command, check=True, capture_output=True, text=True)
        return ctypes.CDLL(str(library))
