"""Pages for readers: the files, functions and frames that they name."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from napari_ini3d.errors import DeviceError
from napari_ini3d.jobs import start_run
from napari_ini3d.kernels import cpu
from napari_ini3d.settings import InitialModelSettings
from napari_ini3d.simulation import (
    SimulationSettings,
    make_phantom,
    simulate_particles,
    write_dataset,
)

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "napari_ini3d"
ARCHITECTURE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")

FILE = re.compile(r"(?<![\w./-])([\w./-]+\.(?:pyi?|cuh?|html))(?::([A-Za-z_][\w.]*))?")
FOLDER = re.compile(r"`([\w./-]+/)`")
IDENTIFIER = re.compile(r"`(\w*[a-z]_[a-z]\w*|[A-Z][a-z]+[A-Z]\w*)`")
STUB_LINE = re.compile(r"`from (\.\w+) import (\w+) as \2`")


def find_files(name: str) -> list[Path]:
    """The files or folders of this project whose path ends with a name."""
    direct = [base / name for base in (ROOT, PACKAGE) if (base / name).exists()]
    found = [path for path in PACKAGE.rglob(Path(name).name) if path.match(f"**/{name}")]
    return direct or found


@cache
def names_in(path: Path) -> set[str]:
    """Functions and classes of a file, methods as `Class.method`."""
    names = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        if isinstance(node, ast.ClassDef):
            inner = [n for n in node.body if isinstance(n, ast.FunctionDef)]
            names |= {f"{node.name}.{n.name}" for n in inner}
    return names


@cache
def all_identifiers() -> set[str]:
    """Everything that is defined anywhere in the package, parameters and attributes included."""
    found = set()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                found.add(node.name)
            elif isinstance(node, ast.arg):
                found.add(node.arg)
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                found.add(node.id)
    return found


def wrong_references(page: str) -> list[str]:
    """The files, folders, functions and classes named on a page that do not exist."""
    wrong = []
    for name, inside in FILE.findall(page):
        files = find_files(name)
        if not files or (inside and not any(inside in names_in(path) for path in files)):
            wrong.append(f"{name}:{inside}" if inside else name)
    wrong += [name for name in FOLDER.findall(page) if not find_files(name)]
    return wrong + [name for name in IDENTIFIER.findall(page) if name not in all_identifiers()]


def test_everything_named_on_the_page_of_the_architecture_exists():
    assert len(FILE.findall(ARCHITECTURE)) > 50
    assert wrong_references(ARCHITECTURE) == []


@pytest.mark.parametrize(
    "wrong",
    [
        "`engine/maximization.py`",
        "`engine/maximisation.py:give_back`",
        "`engine/sums.py:IterationSums.subtract`",
        "`sampling/`",
        "`SliceSums`",
        "`add_side_by_side`",
        "```frames\nengine/crew.py:Crew\n```",
    ],
)
def test_a_name_that_does_not_exist_would_be_found(wrong):
    assert wrong_references(wrong) == [re.sub(r"```frames|[`\s]", "", wrong)]


@pytest.mark.parametrize("page", ["docs/method.md", "docs/exchange.md", "CONTRIBUTING.md"])
def test_the_files_named_on_other_pages_exist(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    names = [f"{name}:{inside}".rstrip(":") for name, inside in FILE.findall(text)]
    assert names
    assert [name for name in names if wrong_references(name)] == []


def test_the_example_of_an_export_is_a_line_of_the_stub():
    ((module, name),) = STUB_LINE.findall(ARCHITECTURE)
    assert f"{name} as {name}" in (PACKAGE / "geometry" / "__init__.pyi").read_text()
    assert name in names_in(PACKAGE / "geometry" / f"{module[1:]}.py")


def test_the_frames_from_a_run_to_the_posterior_are_those_on_the_page(tmp_path, monkeypatch):
    def fail(*_args: object) -> None:
        raise DeviceError("stopped in the posterior")

    monkeypatch.setattr(cpu, "dense_posterior", fail)
    particles = SimulationSettings(number=8, box_size=32, pixel_size=4.0)
    phantom = make_phantom(diameter=80.0)
    star = write_dataset(tmp_path, simulate_particles(phantom, particles), phantom)
    settings = InitialModelSettings(mask_diameter=100.0, iterations=3, threads=1, device="cpu")
    with pytest.raises(DeviceError, match="stopped in the posterior") as caught:
        list(start_run(star, tmp_path / "run", settings))
    frames = [
        (entry.path.relative_to(PACKAGE).as_posix(), entry.frame.code.name)
        for entry in caught.traceback
        if Path(entry.path).is_relative_to(PACKAGE)
    ]
    (block,) = re.findall(r"```frames\n(.*?)```", ARCHITECTURE, flags=re.S)
    listed = [(file, name.rpartition(".")[2]) for file, name in FILE.findall(block)]
    assert len(listed) == 9
    assert listed[0] == ("jobs/run.py", "start_run")  # it returned the generator
    assert [frame for frame in frames if frame in listed] == listed[1:]
    assert {name for _, name in set(frames) - set(listed)} <= {"_results"}  # awaits the thread
