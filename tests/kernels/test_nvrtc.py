"""CUDA's runtime compiler (NVRTC) compiles the kernels for every GPU supported; needs no GPU."""

import ctypes
import os
from functools import cache
from importlib.metadata import PackageNotFoundError, files

import pytest

from napari_ini3d.kernels.cuda_launch import COMPILE_OPTIONS, kernel_source

PACKAGES = {"CUDA 12": "nvidia-cuda-nvrtc-cu12", "CUDA 13": "nvidia-cuda-nvrtc"}
ARCHITECTURES = (70, 75, 80, 86, 89, 90, 100)
OF_CUPY = ("-ftz=true", "--device-as-default-execution-space")  # which it adds to ours
DEPRECATION = "Architectures prior to"  # a warning of CUDA 12 for 7.0


class Nvrtc:
    """The compiler in a wheel of NVIDIA's."""

    def __init__(self, library: str) -> None:
        self._library = ctypes.CDLL(library)

    def _call(self, name: str, *arguments: object) -> int:
        status: int = getattr(self._library, f"nvrtc{name}")(*arguments)
        return status

    def architectures(self) -> list[int]:
        count = ctypes.c_int()
        assert self._call("GetNumSupportedArchs", ctypes.byref(count)) == 0
        found = (ctypes.c_int * count.value)()
        assert self._call("GetSupportedArchs", found) == 0
        return list(found)

    def compile(self, source: str, architecture: int) -> str:
        """Compile, and return the log: empty if there are neither errors nor warnings."""
        program = ctypes.c_void_p()
        text = source.encode()
        assert self._call("CreateProgram", ctypes.byref(program), text, b"", 0, None, None) == 0
        listed = [*COMPILE_OPTIONS, *OF_CUPY, f"-arch=sm_{architecture}"]
        options = (ctypes.c_char_p * len(listed))(*(option.encode() for option in listed))
        status = self._call("CompileProgram", program, len(listed), options)
        size = ctypes.c_size_t()
        assert self._call("GetProgramLogSize", program, ctypes.byref(size)) == 0
        log = ctypes.create_string_buffer(size.value)
        assert self._call("GetProgramLog", program, log) == 0
        assert self._call("GetCUBINSize", program, ctypes.byref(size)) == 0
        assert self._call("DestroyProgram", ctypes.byref(program)) == 0
        lines = [line for line in log.value.decode().splitlines() if DEPRECATION not in line]
        assert (status == 0) == (size.value > 0)
        assert status == 0 or any(lines)
        return "\n".join(lines).strip()


@cache
def find_nvrtc(cuda: str) -> Nvrtc | None:
    try:
        listed = files(PACKAGES[cuda]) or []
    except PackageNotFoundError:
        return None
    major = cuda.split()[-1]
    (library,) = (file for file in listed if file.name == f"libnvrtc.so.{major}")
    return Nvrtc(str(library.locate()))


@pytest.fixture(params=PACKAGES)
def nvrtc(request) -> Nvrtc:
    found = find_nvrtc(request.param)
    if found is None:
        missing = f"{PACKAGES[request.param]} is not installed"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(missing)
    return found


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_kernels_compile_without_a_warning(nvrtc, architecture):
    if architecture not in nvrtc.architectures():
        pytest.skip(f"this NVRTC does not support sm_{architecture} any more")
    assert nvrtc.compile(kernel_source(), architecture) == ""


def test_only_the_oldest_architecture_is_skipped_and_only_by_cuda_13(nvrtc):
    missing = set(ARCHITECTURES) - set(nvrtc.architectures())
    assert missing == ({70} if nvrtc is find_nvrtc("CUDA 13") else set())


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("out[0] = no_such_name;", 'identifier "no_such_name" is undefined'),
        ("int unused;", 'variable "unused" was declared but never referenced'),
        ("#include <no_such_header.h>\n", "could not open source file"),
    ],
)
def test_errors_and_warnings_are_reported(nvrtc, line, message):
    source = f'extern "C" __global__ void kernel(float* out) {{\n{line}\n}}'
    assert message in nvrtc.compile(source, 90)
