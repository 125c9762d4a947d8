"""The layers of the package import downwards only, and some packages in one place only."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import napari_ini3d

PACKAGE = Path(napari_ini3d.__file__).parent

LAYERS = (
    {"widgets", "reader", "writer", "sample_data", "cli"},
    {"layers", "jobs", "report", "report_figures", "symmetry_figures", "finishing"},
    {"io", "engine", "symmetry", "simulation", "comparison", "registration"},
    {"kernels"},
    {"geometry", "fourier", "optics", "masks"},
    {"particles", "settings", "errors", "compiled"},
)
RANK = {name: len(LAYERS) - i for i, names in enumerate(LAYERS) for name in names}

ALLOWED_ONLY_IN = {
    "cupy": ("kernels/gpu.py",),
    "cupyx": ("kernels/gpu.py",),
    "starfile": (),  # a dependency of the tests only
    "pandas": ("io/star.py",),
    "napari": ("widgets/",),
    "magicgui": ("widgets/",),
    "qtpy": ("widgets/",),
    "superqt": ("widgets/",),
    "pyqtgraph": ("widgets/",),
    "vispy": ("widgets/",),
    "PyQt6": ("widgets/",),
    "PySide6": ("widgets/",),
    "typer": ("cli/",),
    "rich": ("cli/",),
    "matplotlib": ("report.py", "report_figures.py", "symmetry_figures.py", "cli/", "widgets/"),
}


def imported_modules(source: str) -> list[str]:
    """All modules a source imports, wherever in it; `from a import b` counts as ``a.b``."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            found += [f"{node.module}.{alias.name}" for alias in node.names]
    return found


def layer_of(relative: Path) -> str:
    return relative.parts[0].removesuffix(".py")


def sources() -> list[Path]:
    return sorted(p.relative_to(PACKAGE) for p in PACKAGE.rglob("*.py"))


def upward_imports(relative: Path, source: str) -> list[str]:
    own = layer_of(relative)
    return [
        module
        for module in imported_modules(source)
        if module.startswith("napari_ini3d.")
        and (target := module.split(".")[1]) != own
        and target in RANK
        and RANK[target] > RANK[own]
    ]


def misplaced_imports(relative: Path, source: str) -> list[str]:
    tops = {module.split(".")[0] for module in imported_modules(source)}
    return [
        top
        for top in sorted(tops & ALLOWED_ONLY_IN.keys())
        if not relative.as_posix().startswith(ALLOWED_ONLY_IN[top])
    ]


@pytest.mark.parametrize("relative", sources(), ids=str)
def test_a_module_imports_nothing_from_a_layer_above_it(relative):
    if relative.name == "__init__.py" and len(relative.parts) == 1:
        pytest.skip("the package itself gives out names of all layers, lazily")
    assert layer_of(relative) in RANK, f"{relative} belongs to no layer; name it in DESIGN and here"
    assert upward_imports(relative, (PACKAGE / relative).read_text()) == []


@pytest.mark.parametrize("relative", sources(), ids=str)
def test_a_package_with_one_home_is_imported_only_there(relative):
    assert misplaced_imports(relative, (PACKAGE / relative).read_text()) == []


def test_the_engine_knows_no_files():
    for path in (PACKAGE / "engine").rglob("*.py"):
        modules = imported_modules(path.read_text())
        assert not [m for m in modules if m.startswith("napari_ini3d.io")], path.name


def test_an_upward_import_would_be_found():
    bad = "def f():\n    from napari_ini3d.jobs import start_run\n"
    assert upward_imports(Path("engine/x.py"), bad) == ["napari_ini3d.jobs.start_run"]


def test_a_misplaced_import_would_be_found():
    assert misplaced_imports(Path("engine/x.py"), "import cupy.cuda, numpy\n") == ["cupy"]


def test_importing_the_package_loads_no_window_toolkit_and_no_cupy():
    code = (
        "import sys, napari_ini3d\n"
        "heavy = ('napari', 'cupy', 'qtpy', 'PyQt5', 'PyQt6', 'PySide6', 'numba', 'pandas')\n"
        "sys.stdout.write(','.join(name for name in heavy if name in sys.modules))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (result.returncode, result.stdout) == (0, "")


def test_importing_every_module_loads_no_window_toolkit_and_no_cupy():
    names = [
        "napari_ini3d." + ".".join(p.with_suffix("").parts)
        for p in sources()
        if p.name != "__init__.py" and p.parts[0] != "widgets" and p.name != "gpu.py"
    ]
    code = (
        f"import sys, importlib\nfor name in {names!r}: importlib.import_module(name)\n"
        "heavy = ('napari', 'cupy', 'qtpy', 'PyQt5', 'PyQt6', 'PySide6', 'pyqtgraph', 'vispy')\n"
        "sys.stdout.write(','.join(name for name in heavy if name in sys.modules))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (result.returncode, result.stdout) == (0, ""), result.stderr
