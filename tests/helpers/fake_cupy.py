"""A stand-in for CuPy that needs no GPU and is stricter than CuPy.

Arrays on an emulated GPU are kept apart from NumPy's: they are never converted implicitly, and a
call never mixes them with NumPy arrays, with arrays of another GPU, or with those of a GPU that is
not the current one. Only the functions of CuPy that are listed here exist; check CuPy's manual
before you add one. Kernels are the real sources, compiled for the CPU.
"""

import ctypes
import sys
import threading
from collections import Counter
from functools import partial
from types import ModuleType, SimpleNamespace

import numpy as np
import scipy.fft
from cuda_on_cpu import CompiledKernels

import napari_ini3d.kernels

FUNCTIONS = """
    arange ascontiguousarray ceil clip concatenate cos count_nonzero deg2rad empty empty_like exp
    exp2 flatnonzero log log2 logaddexp maximum minimum nonzero ones ones_like repeat rint
    searchsorted sin sqrt stack tile unique where zeros zeros_like
""".split()  # noqa: SIM905
METHODS = """
    any argmax astype conj copy max mean ravel reshape std sum take tolist view transpose
""".split()  # noqa: SIM905
_SCALARS = (int, float, complex, bool, np.generic, np.dtype, type, str, type(None), slice)
THREADS = 4  # per block


class OutOfMemoryError(MemoryError):
    """As in CuPy, a MemoryError."""


class CUDARuntimeError(RuntimeError):
    """Raised by CUDA's runtime."""


class CompileException(Exception):
    """Raised by the compiler."""


class Machine:
    """The state of all emulated GPUs; tests change it."""

    def __init__(self, gpus: int = 1) -> None:
        self.devices = gpus
        self.no_driver = False
        self.free_bytes = 4 << 30
        self.largest_array: float = float("inf")
        self.compiler_failure: Exception | None = None
        self.library_failure: Exception | None = None
        self.products: list[str] = []
        self.launched: list[tuple[int, str]] = []
        self.operations: Counter[str] = Counter()  # of CuPy's own, without kernels
        self.traffic: list[tuple[str, int]] = []
        self.fail_in, self.most_blocks = "", 0
        self.failure: Exception = OutOfMemoryError("Out of memory")
        self._current = threading.local()

    def launches(self, none: set[str]) -> int:
        """Return the kernels, operations and copies so far, without the operations in `none`."""
        operations = sum(n for name, n in self.operations.items() if name not in none)
        return len(self.launched) + operations + len(self.traffic)

    @property
    def gpu(self) -> int:
        """The current GPU of this thread."""
        return getattr(self._current, "gpu", 0)

    @gpu.setter
    def gpu(self, gpu: int) -> None:
        self._current.gpu = gpu

    def wrap(self, found):
        """Return arrays and NumPy's scalars as arrays on the current GPU."""
        if isinstance(found, tuple):
            return tuple(self.wrap(part) for part in found)
        if isinstance(found, (np.ndarray, np.generic)):
            if found.nbytes > self.largest_array:
                raise OutOfMemoryError(f"Out of memory allocating {found.nbytes} bytes")
            return DeviceArray(np.asarray(found), self)
        return found

    def unwrap(self, value):
        """Return the value for NumPy; raise an error for arrays that are not on the current GPU."""
        if isinstance(value, DeviceArray):
            if value.gpu != self.gpu:
                raise CUDARuntimeError(f"an array of gpu:{value.gpu} used on gpu:{self.gpu}")
            return value.host
        if isinstance(value, (list, tuple)):
            return type(value)(self.unwrap(part) for part in value)
        if isinstance(value, _SCALARS) or value is Ellipsis:
            return value
        raise TypeError(f"Unsupported type {type(value)}")

    def call(self, function, *arguments, **keywords):
        """Call a NumPy function on arrays of the current GPU."""
        self.operations[getattr(function, "__name__", str(function))] += 1
        keywords = {name: self.unwrap(value) for name, value in keywords.items()}
        return self.wrap(function(*self.unwrap(arguments), **keywords))


class DeviceArray(np.lib.mixins.NDArrayOperatorsMixin):
    """An array on an emulated GPU."""

    def __init__(self, host: np.ndarray, machine: Machine) -> None:
        self.host, self.machine, self.gpu = host, machine, machine.gpu

    shape = property(lambda self: self.host.shape)
    dtype = property(lambda self: self.host.dtype)
    size = property(lambda self: self.host.size)
    ndim = property(lambda self: self.host.ndim)
    nbytes = property(lambda self: self.host.nbytes)
    flags = property(lambda self: self.host.flags)
    data = property(lambda self: SimpleNamespace(ptr=self.host.ctypes.data))
    T = property(lambda self: self.machine.wrap(self.host.T))
    real = property(lambda self: self.machine.wrap(self.host.real))
    imag = property(lambda self: self.machine.wrap(self.host.imag))

    def __array_ufunc__(self, ufunc, method, *inputs, **keywords):
        if method != "__call__":
            raise TypeError(f"CuPy has no {ufunc.__name__}.{method}")
        found = self.machine.call(ufunc, *inputs, **keywords)
        return keywords["out"][0] if "out" in keywords else found

    def __array_function__(self, function, types, arguments, keywords):
        raise TypeError(f"np.{function.__name__} called with a GPU array; call it on xp")

    def __array__(self, *arguments, **keywords):
        raise TypeError("Implicit conversion to a NumPy array is not allowed")

    def __getitem__(self, key):
        if isinstance(key, list):
            raise TypeError("a list is not a valid index of a GPU array")
        return self.machine.wrap(self.host[self.machine.unwrap(key)])

    def __setitem__(self, key, value) -> None:
        self.host[self.machine.unwrap(key)] = self.machine.unwrap(value)

    def __len__(self) -> int:
        return len(self.host)

    def __iter__(self):
        raise TypeError("iterating over a GPU array copies each element")

    def __abs__(self):
        return self.machine.call(np.abs, self)

    def __bool__(self) -> bool:
        return bool(self.host)

    def __int__(self) -> int:
        return int(self.host)

    def __float__(self) -> float:
        return float(self.host)

    def set(self, host: np.ndarray, stream=None) -> None:
        assert type(host) is np.ndarray
        assert host.dtype == self.dtype
        self.machine.traffic.append(("images", host.nbytes))
        self.host[...] = host

    def __getattr__(self, name):
        if name not in METHODS:
            raise AttributeError(f"CuPy's arrays have no {name!r}, or fake_cupy does not list it")
        method = getattr(self.host, name)
        if name == "tolist":
            return method
        return lambda *arguments, **keywords: self.machine.call(method, *arguments, **keywords)


def install(monkeypatch, machine: Machine) -> None:
    """Make ``import cupy`` return a stand-in, until the test ends."""
    cupy, cupyx = make_cupy(machine), ModuleType("cupyx")
    cupyx.empty_pinned = lambda shape, dtype: np.empty(shape, dtype)
    cupyx.scipy, fft = ModuleType("cupyx.scipy"), ModuleType("cupyx.scipy.fft")
    cupyx.scipy.fft = fft
    fft.rfft2 = lambda images: _transform(machine, images)
    modules = {"cupy": cupy, "cupyx": cupyx, "cupyx.scipy": cupyx.scipy, "cupyx.scipy.fft": fft}
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)
    forget_gpu_module(monkeypatch)


def forget_gpu_module(monkeypatch) -> None:
    """Make the module that imports CuPy be imported again, in this test and after it."""
    # set first, so that a module imported in the test is removed when the test ends
    placeholder = ModuleType("placeholder")
    monkeypatch.setitem(sys.modules, "napari_ini3d.kernels.gpu", placeholder)
    del sys.modules["napari_ini3d.kernels.gpu"]
    # `import a.b as c` takes the attribute of the package, which an import sets
    monkeypatch.setattr(napari_ini3d.kernels, "gpu", placeholder, raising=False)


def make_cupy(machine: Machine) -> ModuleType:
    """Return a stand-in for the module cupy."""
    cupy = ModuleType("cupy")
    cupy.ndarray = DeviceArray
    for name in FUNCTIONS:
        setattr(cupy, name, _function(machine, getattr(np, name)))
    cupy.repeat = lambda a, repeats: machine.call(np.repeat, a, int(repeats))
    cupy.matmul = lambda a, b, out=None: _matmul(machine, a, b, out)
    cupy.asarray = lambda a, dtype=None: _asarray(machine, a, dtype)
    cupy.asnumpy = lambda a: _asnumpy(machine, a)
    cupy.get_default_memory_pool = lambda: SimpleNamespace(
        free_bytes=lambda: 0, free_all_blocks=lambda: None
    )
    cupy.get_default_pinned_memory_pool = lambda: SimpleNamespace(free_all_blocks=lambda: None)
    plans = SimpleNamespace(clear=lambda: None)
    cupy.fft = SimpleNamespace(config=SimpleNamespace(get_plan_cache=lambda: plans))
    cupy.RawModule = lambda code, options: _RawModule(machine, code, options)
    cupy.cuda = _make_cuda(machine)
    return cupy


def _function(machine: Machine, function):
    return lambda *arguments, **keywords: machine.call(function, *arguments, **keywords)


def _matmul(machine: Machine, a, b, out):
    assert a.ndim == b.ndim == 2
    assert a.dtype == b.dtype == np.float32
    machine.products.append("CUBLAS_COMPUTE_32F")
    found = machine.call(np.matmul, a, b, out=out)
    return found if out is None else out


def _transform(machine: Machine, images: "DeviceArray") -> "DeviceArray":
    if machine.library_failure is not None:
        raise machine.library_failure
    return machine.call(scipy.fft.rfft2, images)


def _asarray(machine: Machine, a, dtype):
    if isinstance(a, np.ndarray):
        machine.traffic.append(("up", a.nbytes))
        return machine.wrap(np.array(a, dtype=dtype))
    return machine.call(np.asarray, a, dtype=dtype)


def _asnumpy(machine: Machine, a: DeviceArray) -> np.ndarray:
    machine.traffic.append(("down", a.nbytes))
    return np.array(machine.unwrap(a))


class _RawModule:
    def __init__(self, machine: Machine, code: str, options: tuple[str, ...]) -> None:
        assert any(option.startswith("-DTHREADS=") for option in options)
        self._machine = machine
        self._kernels = CompiledKernels(code, THREADS)

    def compile(self) -> None:
        if self._machine.compiler_failure is not None:
            raise self._machine.compiler_failure

    def get_function(self, name: str):
        def launch(grid, block, arguments) -> None:
            if name == self._machine.fail_in and grid[0] > self._machine.most_blocks:
                raise self._machine.failure
            threads = grid[0] * block[0]  # as requested, but in blocks of the compiled size
            per_element = name in _PER_ELEMENT
            blocks = -(-threads // THREADS) if per_element else grid[0]
            self._machine.launched.append((self._machine.gpu, name))
            self._kernels.launch(name, blocks, self._machine.unwrap(arguments))

        return launch


_PER_ELEMENT = (
    "add_fine_log_prior",
    "add_fixed",
    "backproject_fixed",
    "backproject_float",
    "coarse_log_prior",
    "ctf_values",
    "explained_power",
    "fine_best_poses",
    "project",
    "symmetrise",
    "weigh_images",
    "weigh_rows",
)


class _Device:
    def __init__(self, machine: Machine, index: int) -> None:
        self._machine, self._index = machine, index
        self._before: list[int] = []

    def __enter__(self):
        self._before.append(self._machine.gpu)
        self._machine.gpu = self._index
        return self

    def __exit__(self, *error) -> None:
        self._machine.gpu = self._before.pop()

    def synchronize(self) -> None:
        pass


class _Stream:
    def __init__(self, machine: Machine, *, non_blocking: bool = False) -> None:
        self._machine = machine

    def wait_event(self, event) -> None:
        assert event.recorded, "waits for a copy that was never started"
        self._machine.traffic.append(("wait for a copy", 0))

    def synchronize(self) -> None:
        pass


class _Event:
    def __init__(self, machine: Machine, *, block: bool, disable_timing: bool) -> None:
        self._machine = machine
        self.recorded = False

    def record(self, stream=None) -> None:
        self.recorded = True

    def synchronize(self) -> None:
        assert self.recorded, "waits for an event that was never recorded"
        self._machine.traffic.append(("wait for a computation", 0))


def _make_cuda(machine: Machine) -> SimpleNamespace:
    def count() -> int:
        if machine.no_driver:
            raise CUDARuntimeError("cudaErrorInsufficientDriver: driver version is insufficient")
        if not machine.devices:
            raise CUDARuntimeError("cudaErrorNoDevice: no CUDA-capable device is detected")
        return machine.devices

    runtime = SimpleNamespace(
        getDeviceCount=count,
        memGetInfo=lambda: (machine.free_bytes, 8 << 30),
        CUDA_R_32F=0,
        getDeviceProperties=lambda index: {"name": f"Emulated GPU {index}".encode()},
        CUDARuntimeError=CUDARuntimeError,
    )
    return SimpleNamespace(
        runtime=runtime,
        cublas=_make_cublas(machine),
        device=SimpleNamespace(get_cublas_handle=lambda: "handle"),
        Device=lambda index: _Device(machine, index),
        Stream=partial(_Stream, machine),
        Event=partial(_Event, machine),
        get_current_stream=partial(_Stream, machine),
        compiler=SimpleNamespace(CompileException=CompileException),
        memory=SimpleNamespace(OutOfMemoryError=OutOfMemoryError),
    )


def _make_cublas(machine: Machine) -> SimpleNamespace:
    """Return a stand-in for cuBLAS: its constants and one matrix product, on addresses."""
    kinds = {f"CUBLAS_COMPUTE_32F_FAST_{kind}": i for i, kind in enumerate(("TF32", "16F", "16BF"))}
    names = {number: name for name, number in kinds.items()}

    def gemm_ex(handle, turn_a, turn_b, m, n, k, alpha, a, kind_a, step_a, *rest) -> None:
        b, kind_b, step_b, beta, c, kind_c, step_c, compute_type, algorithm = rest
        assert kind_a == kind_b == kind_c == 0
        assert handle == "handle"
        assert algorithm == -1
        left = _columns(a, (m, k) if not turn_a else (k, m), step_a)
        right = _columns(b, (k, n) if not turn_b else (n, k), step_b)
        product = (left.T if turn_a else left) @ (right.T if turn_b else right)
        scale, kept = (_columns(address, (1, 1), 1)[0, 0] for address in (alpha, beta))
        result = _columns(c, (m, n), step_c)
        result[...] = scale * product + (kept * result if kept else 0)
        machine.products.append(names[compute_type])

    return SimpleNamespace(
        CUBLAS_OP_N=0, CUBLAS_OP_T=1, CUBLAS_GEMM_DEFAULT=-1, gemmEx=gemm_ex, **kinds
    )


def _columns(address: int, shape: tuple[int, int], step: int) -> np.ndarray:
    """Return the matrix in column-major order at an address."""
    assert step >= shape[0], "columns overlap"
    buffer = (ctypes.c_float * (step * shape[1])).from_address(address)
    return np.frombuffer(buffer, np.float32).reshape(shape[1], step).T[: shape[0]]
