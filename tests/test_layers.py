"""Imports: from lower ranks only, some packages in one place only, heavy packages when needed.

The ranks are read from docs/architecture.md, so that the page and the code cannot differ.
"""

import ast
import re
import subprocess
import sys
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest
from commands_in_forks import loaded_after_command
from typer.main import get_command

import napari_ini3d
from napari_ini3d.cli.app import app
from napari_ini3d.jobs import start_run
from napari_ini3d.settings import InitialModelSettings
from napari_ini3d.simulation import (
    SimulationSettings,
    make_phantom,
    simulate_particles,
    write_dataset,
)

PACKAGE = Path(napari_ini3d.__file__).parent
PAGE = Path(__file__).parents[1] / "docs" / "architecture.md"
NAME = "napari_ini3d"

ALLOWED_ONLY_IN = {
    "cupy": ("kernels/gpu.py",),
    "cupyx": ("kernels/gpu.py",),
    "starfile": ("io/star/rows.py", "io/star/format.py"),
    "pandas": ("io/star/rows.py", "io/star/format.py"),
    "napari": ("plugin/",),
    "magicgui": ("plugin/",),
    "qtpy": ("plugin/",),
    "superqt": ("plugin/",),
    "pyqtgraph": ("plugin/",),
    "vispy": ("plugin/",),
    "PyQt6": ("plugin/",),
    "PySide6": ("plugin/",),
    "dask": ("cluster/",),
    "dask_jobqueue": ("cluster/",),
    "distributed": ("cluster/",),
    "typer": ("cli/",),
    "rich": ("cli/",),
    "matplotlib": ("report/", "cli/", "plugin/"),
}


def read_layers(page: str) -> tuple[dict[str, int], set[tuple[str, str]]]:
    """The rank of each package, lowest first, and the imports within a rank that are allowed."""
    (block,) = re.findall(r"```layers\n(.*?)```", page, flags=re.S)
    ranks, allowed = {}, set()
    for rank, line in enumerate(block.splitlines()):
        names, _, exceptions = line.partition("|")
        ranks |= dict.fromkeys(names.split(), rank)
        for pair in exceptions.split(","):
            if pair.strip():
                importer, imported = pair.split("->")
                allowed.add((importer.strip(), imported.strip()))
    return ranks, allowed


RANKS, ALLOWED = read_layers(PAGE.read_text(encoding="utf-8"))


def sources() -> list[Path]:
    return sorted(p.relative_to(PACKAGE) for p in PACKAGE.rglob("*.py"))


def dotted(relative: Path) -> str:
    return ".".join([NAME, *relative.with_suffix("").parts]).removesuffix(".__init__")


MODULES = {dotted(relative): relative for relative in sources()}


@cache
def exported_names(package: str) -> dict[str, str]:
    """The module in which each lazily exported name of a package is defined."""
    stub = PACKAGE / MODULES[package].with_suffix(".pyi")
    if MODULES[package].name != "__init__.py" or not stub.exists():
        return {}
    return {
        alias.name: f"{package}.{node.module}"
        for node in ast.walk(ast.parse(stub.read_text()))
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }


def imported_names(source: str) -> list[tuple[str, str]]:
    """All (module, name) a source imports, wherever in it, also lazily or for types only."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [(alias.name, "") for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            found += [(str(node.module), alias.name) for alias in node.names]
    return found


def home_of(module: str, name: str) -> str:
    """The module in which an imported name is defined, through the exports of packages."""
    if f"{module}.{name}" in MODULES:
        return f"{module}.{name}"
    exported = exported_names(module) if module in MODULES else {}
    return exported.get(name, module)


def imported_homes(source: str) -> set[str]:
    """The modules of this package on which a source depends."""
    homes = {home_of(module, name) for module, name in imported_names(source)}
    return {home for home in homes if home.split(".")[0] == NAME}


def layer_of(module: str) -> str:
    return module.split(".")[1]


def forbidden_imports(module: str, source: str) -> list[str]:
    own = layer_of(module)
    return sorted(
        home
        for home in imported_homes(source) - {NAME}
        if (target := layer_of(home)) != own
        and RANKS[target] >= RANKS[own]
        and (own, target) not in ALLOWED
    )


def misplaced_imports(relative: Path, source: str) -> list[str]:
    tops = {module.split(".")[0] for module, _ in imported_names(source)}
    return [
        top
        for top in sorted(tops & ALLOWED_ONLY_IN.keys())
        if not relative.as_posix().startswith(ALLOWED_ONLY_IN[top])
    ]


def relion_labels(source: str) -> list[str]:
    """The string constants with a label of RELION, without docstrings."""
    nodes = list(ast.walk(ast.parse(source)))
    docstrings = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
    return [
        node.value
        for node in nodes
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
        if "rln" in node.value and id(node) not in docstrings
    ]


def source_of(module: str) -> str:
    return (PACKAGE / MODULES[module]).read_text(encoding="utf-8")


@pytest.mark.parametrize("module", sorted(MODULES.keys() - {NAME}))
def test_a_module_imports_only_from_layers_below_it(module):
    assert layer_of(module) in RANKS, f"{module} has no layer; name it in docs/architecture.md"
    assert forbidden_imports(module, source_of(module)) == []


def test_every_layer_on_the_page_exists():
    found = {layer_of(module) for module in MODULES if module != NAME}
    assert found == set(RANKS)


def test_every_exception_on_the_page_is_used():
    used = {
        (layer_of(module), layer_of(home))
        for module in MODULES.keys() - {NAME}
        for home in imported_homes(source_of(module)) - {NAME}
    }
    assert used >= ALLOWED


def test_no_modules_import_each_other_in_a_circle():
    graph = {module: imported_homes(source_of(module)) - {module} for module in MODULES}
    del graph[NAME]
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


@pytest.mark.parametrize("relative", sources(), ids=str)
def test_a_package_with_one_home_is_imported_only_there(relative):
    assert misplaced_imports(relative, (PACKAGE / relative).read_text(encoding="utf-8")) == []


def test_engine_symmetry_and_optics_know_no_files():
    for module in MODULES:
        if module != NAME and layer_of(module) in ("engine", "symmetry", "optics"):
            homes = imported_homes(source_of(module))
            assert not [home for home in homes if layer_of(home) in ("io", "runs")], module


@pytest.mark.parametrize("relative", sources(), ids=str)
def test_relions_labels_are_in_io_only(relative):
    if relative.parts[0] != "io":
        assert relion_labels((PACKAGE / relative).read_text(encoding="utf-8")) == []


def test_a_label_outside_io_would_be_found():
    bad = 'def f(columns):\n    """Use rlnVoltage."""\n    return f"{columns}rlnAngleRot"\n'
    assert relion_labels(bad) == ["rlnAngleRot"]


def test_an_upward_import_would_be_found():
    bad = "def f():\n    from napari_ini3d.jobs import start_run\n"
    assert forbidden_imports(f"{NAME}.engine.x", bad) == [f"{NAME}.jobs.run"]


def test_an_import_within_a_rank_would_be_found():
    bad = "if TYPE_CHECKING:\n    from napari_ini3d.symmetry import SymmetryReport\n"
    assert forbidden_imports(f"{NAME}.engine.x", bad) == [f"{NAME}.symmetry.records"]


def test_a_misplaced_import_would_be_found():
    assert misplaced_imports(Path("engine/x.py"), "import cupy.cuda, numpy\n") == ["cupy"]


def loaded_after(code: str, heavy: tuple[str, ...]) -> set[str]:
    """Which packages are loaded in a fresh process after some code."""
    tell = f"import sys\nprint(','.join(set(sys.modules) & set({heavy!r})))"
    result = subprocess.run(
        [sys.executable, "-c", f"{code}\n{tell}"], capture_output=True, text=True, check=True
    )
    return set(result.stdout.splitlines()[-1].split(",")) - {""}


WINDOW = ("napari", "magicgui", "qtpy", "PyQt5", "PyQt6", "PySide6", "pyqtgraph", "vispy")


def test_importing_the_package_loads_nothing_heavy():
    heavy = (*WINDOW, "cupy", "numba", "pandas", "matplotlib", "scipy")
    assert loaded_after("import napari_ini3d", heavy) == set()


def test_importing_every_module_loads_no_window_toolkit_no_cupy_and_no_dask():
    names = [
        module
        for module, relative in MODULES.items()
        if relative.parts[0] != "plugin" and relative.name != "gpu.py"
    ]
    code = f"import importlib\nfor name in {names!r}: importlib.import_module(name)"
    assert loaded_after(code, (*WINDOW, "cupy", "dask", "distributed")) == set()


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A folder with the particles and the map of a phantom, a stopped run and a finished one."""
    folder = tmp_path_factory.mktemp("files")
    settings = SimulationSettings(number=20, box_size=32, pixel_size=4.0, snr=1.0)
    phantom = make_phantom("C2", diameter=80.0)
    write_dataset(folder, simulate_particles(phantom, settings), phantom)
    few = InitialModelSettings(mask_diameter=100.0, iterations=4, starts=1, threads=1)
    next(iter(start_run(folder / "particles.star", folder / "stopped", few)))
    list(start_run(folder / "particles.star", folder / "done", few))
    job = "{output: of_batch, particles: particles.star, iterations: 4, starts: 1, threads: 1}"
    (folder / "jobs.yaml").write_text(f"jobs: [{job}]")
    return folder


SMALL_DEMO = """\
from napari_ini3d.cli import demo
from napari_ini3d.simulation import SimulationSettings
demo._PARTICLES = SimulationSettings(number=20, box_size=32, pixel_size=5.0, snr=1.0)
demo._ITERATIONS = 4
"""
SMALL_BENCH = """\
from napari_ini3d.cli import bench, benchmark
from napari_ini3d.simulation import SimulationSettings
small = SimulationSettings(number=20, box_size=32, pixel_size=5.0, snr=1.0)
bench.QUICK = benchmark.BenchSet("quick", small, 4)
benchmark._warm_up = lambda folder, settings: 0.0
benchmark._PROBE_SIZES = (64,)
"""
DRAW_NOTHING = (
    "--help",
    "--version",
    "run --help",
    "check particles.star",
    "batch jobs.yaml --check",
    "cluster start --help",
    "cluster status local:1 --threads 1",
    "cluster stop --help",
    "simulate --output new --number 5 --box-size 32 --pixel-size 4 --diameter 80",
    "compare truth.mrc truth.mrc",
    "compare --poses truth.star truth.star",
    "select done --output good.star --max-junk 1",
    "convert truth.star truth.cs",
    "fetch --json",
    "symmetry detect truth.mrc",
    "symmetry align truth.mrc --symmetry C2 --output aligned.mrc",
    "symmetry impose truth.mrc --symmetry C2 --output imposed.mrc",
    "symmetry flip-hand truth.mrc --output flipped.mrc",
    "symmetry expand truth.star --symmetry C2 --output expanded.star",
    "symmetry fold truth.star --symmetry C2 --output folded.star",
)
DRAW = {
    "run particles.star --output run --iterations 4 --starts 1 --threads 1": "",
    "resume stopped": "",
    "batch jobs.yaml": "",
    "relion-job --o job --in_parts particles.star --iterations 4 --starts 1 --j 1": "",
    "report done": "",
    "movie done --output movie.gif": "",
    "demo --output demo --threads 1": SMALL_DEMO,
    "bench --quick --threads 1": SMALL_BENCH,
}
RELAX = "symmetry relax done --symmetry C2 --output relaxed.mrc --force --threads 1"


@pytest.mark.parametrize("command", DRAW_NOTHING)
def test_a_command_that_draws_nothing_loads_neither_window_nor_plots(command, files):
    assert loaded_after_command(command, files, (*WINDOW, "cupy", "matplotlib")) == set()


def test_a_relaxation_loads_neither_window_nor_plots(files):
    # with device auto it asks CuPy for GPUs where CuPy is installed
    assert loaded_after_command(RELAX, files, (*WINDOW, "matplotlib")) == set()


@pytest.mark.parametrize("command", DRAW)
def test_a_command_that_draws_loads_plots_but_no_window(command, files):
    # with device auto a run asks CuPy for GPUs where CuPy is installed
    heavy = (*WINDOW, "matplotlib", "matplotlib.pyplot")
    assert loaded_after_command(command, files, heavy, DRAW[command]) == {"matplotlib"}


@pytest.mark.parametrize("command", ["--version", "--help", "run --help"])
def test_help_and_version_load_no_package_for_computing(command):
    heavy = (*WINDOW, "pandas", "starfile", "scipy", "numba", "cupy", "matplotlib")
    code = (
        "import sys\nfrom napari_ini3d.cli import main\n"
        f"sys.argv = ['ini3d', *{command.split()!r}]\n"
        "try: main()\nexcept SystemExit as end: assert not end.code, end.code\nprint()"
    )
    assert loaded_after(code, heavy) == set()


def test_every_command_is_among_those_whose_imports_are_checked():
    commands = get_command(app).commands
    groups = {name: found for name, found in commands.items() if hasattr(found, "commands")}
    names = [*commands.keys() - groups.keys()]
    names += [f"{group} {name}" for group, found in groups.items() for name in found.commands]
    tested = [*DRAW_NOTHING, *DRAW, RELAX]
    assert [name for name in names if not any(c.startswith(f"{name} ") for c in tested)] == []
