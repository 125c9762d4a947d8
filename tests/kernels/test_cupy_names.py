"""Names and calls of CuPy in the source exist in CuPy's wheel; needs no GPU."""

import ast
import importlib.util
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import cuda_on_cpu
import fake_cupy
import pytest

import napari_ini3d

SOURCE = Path(napari_ini3d.__file__).parent
PROGRAM = Path(cuda_on_cpu.__file__).with_name("look_up_cupy.py")
ARRAY = "cupy.ndarray"


@dataclass(frozen=True)
class Use:
    """A name, and for a call the number of positional arguments (None: not a call) and keywords."""

    name: str
    positional: int | None = None
    keywords: tuple[str, ...] = ()


GEMM = Use("cupy.cuda.cublas.gemmEx", 19)  # in the source, its arguments are starred groups


def dotted(node: ast.AST) -> list[str]:
    """Return the names of a chain of attributes; what they are attributes of, only if a name."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.insert(0, node.attr)
        node = node.value
    return [node.id, *parts] if isinstance(node, ast.Name) else ["", *parts]


def cupy_name(parts: list[str]) -> str | None:
    """Return what a chain of attributes stands for in CuPy; None if it is not CuPy's.

    `xp` and `fft` stand for modules of CuPy or of NumPy and SciPy: ``backend.xp.zeros``.
    """
    if parts[0] in ("cupy", "cupyx"):
        return ".".join(parts)
    for root, module in (("cp", "cupy"), ("xp", "cupy"), ("fft", "cupyx.scipy.fft")):
        if root in parts[:-1] and not {"np", "scipy"} & {*parts}:
            return ".".join([module, *parts[parts.index(root) + 1 :]])
    return None


def uses_in(text: str) -> set[Use]:
    """Return the names and calls of CuPy in a module, and calls of methods that arrays have."""
    tree = ast.parse(text)
    found = {
        Use(name)
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and (name := cupy_name(dotted(node)))
    }
    if not found:
        return set()
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        parts = dotted(node.func)
        name = cupy_name(parts)
        if name is None and parts[-1] in fake_cupy.METHODS and parts[0] not in ("np", "math"):
            name = f"{ARRAY}.{parts[-1]}"
        keywords = tuple(keyword.arg for keyword in node.keywords if keyword.arg)
        starred = any(isinstance(argument, ast.Starred) for argument in node.args)
        if name and not starred:
            found.add(Use(name, len(node.args), keywords))
    return found


def uses_of_source() -> set[Use]:
    return {use for path in SOURCE.rglob("*.py") for use in uses_in(path.read_text("utf-8"))}


def uses_of_stand_in() -> set[Use]:
    """Return what the stand-in has: the source can use nothing else in the tests."""
    machine = fake_cupy.Machine()
    cupy = fake_cupy.make_cupy(machine)
    names = {f"cupy.{name}" for name in vars(cupy) if not name.startswith("_")}
    names |= {f"{ARRAY}.{name}" for name in fake_cupy.METHODS}
    array = {name for name in vars(fake_cupy.DeviceArray) if not name.startswith("_")}
    names |= {f"{ARRAY}.{name}" for name in array - {"host", "machine", "gpu"}}
    names |= {f"cupy.cuda.{name}" for name in vars(cupy.cuda)}
    for part in ("cublas", "device", "runtime", "compiler", "memory"):
        names |= {f"cupy.cuda.{part}.{name}" for name in vars(getattr(cupy.cuda, part))}
    for name in ("Device", "Stream", "Event"):
        methods = vars(getattr(fake_cupy, f"_{name}"))
        names |= {f"cupy.cuda.{name}.{method}" for method in methods if method[:2] != "__"}
    names |= {"cupy.RawModule.compile", "cupy.RawModule.get_function"}
    names |= {f"cupy.cuda.MemoryPool.{name}" for name in ("free_bytes", "free_all_blocks")}
    names |= {"cupy.cuda.PinnedMemoryPool.free_all_blocks", "cupy.cuda.MemoryPointer.ptr"}
    names |= {"cupy.fft._cache.PlanCache.clear", "cupyx.empty_pinned", "cupyx.scipy.fft.rfft2"}
    return {Use(name) for name in names}


@pytest.fixture(scope="module")
def stand_ins(tmp_path_factory) -> list[str]:
    """Make empty libraries with the names of cuBLAS in CUDA 12 and CUDA 13."""
    if importlib.util.find_spec("cupy") is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("CuPy is not installed")
    folder = tmp_path_factory.mktemp("cublas")
    (folder / "empty.cpp").touch()
    libraries = [f"lib{name}.so.{major}" for name in ("cublasLt", "cublas") for major in (12, 13)]
    for library in libraries:
        command = [cuda_on_cpu.find_compiler(), "-shared", "-fPIC", f"-Wl,-soname,{library}"]
        command += ["-o", str(folder / library), str(folder / "empty.cpp")]
        subprocess.run(command, check=True)
    return [str(folder / library) for library in libraries]


def problems(uses: set[Use], stand_ins: list[str]) -> list[str]:
    text = json.dumps(sorted(([u.name, u.positional, u.keywords] for u in uses), key=str))
    found = subprocess.run(
        [sys.executable, str(PROGRAM), *stand_ins], input=text, capture_output=True, text=True
    )
    assert found.returncode == 0, found.stderr
    result: list[str] = json.loads(found.stdout)
    return result


def test_cupy_has_every_name_of_the_source_and_takes_its_arguments(stand_ins):
    uses = uses_of_source()
    assert Use("cupy.cuda.Event", 0, ("block", "disable_timing")) in uses  # of gpu.py
    assert Use("cupy.unique", 1, ("return_inverse",)) in uses  # of the fine pass
    assert len(uses) > 60
    assert problems(uses | {GEMM}, stand_ins) == []


def test_cupy_has_every_name_of_the_stand_in(stand_ins):
    assert problems(uses_of_stand_in(), stand_ins) == []


def test_names_and_arguments_that_cupy_does_not_have_are_found(stand_ins):
    wrong = {
        "xp.no_such_function(a)": "cupy.no_such_function",
        "backend.xp.zeros(a, no_such_keyword=1)": "cupy.zeros",
        "cp.unique()": "cupy.unique",
        "cp.cuda.runtime.memGetInfo(0)": "cupy.cuda.runtime.memGetInfo",
        "cp.RawModule(code=a, no_such_keyword=1)": "cupy.RawModule",
        "backend.fft.rfft7(a)": "cupyx.scipy.fft.rfft7",
        "xp.sqrt(a, b, c)": "cupy.sqrt",
        "a.max(1, initial=0) + xp.ones(3)": "cupy.ndarray.max",
        "cp.cuda.cublas.CUBLAS_NO_SUCH_CONSTANT": "cupy.cuda.cublas.CUBLAS_NO_SUCH_CONSTANT",
    }
    found = problems({use for line in wrong for use in uses_in(line)}, stand_ins)
    assert {problem.partition(":")[0] for problem in found} == {*wrong.values()}


def test_names_of_numpy_and_scipy_are_not_looked_up():
    assert uses_in("np.fft.rfftn(a); scipy.fft.next_fast_len(3); np.zeros(3).max()") == set()
