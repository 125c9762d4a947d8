"""The package as installed: public names, manifest, command, wheel, dependencies."""

import ast
import os
import re
import runpy
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import entry_points, packages_distributions, requires, version
from pathlib import Path

import pytest
from npe2 import PluginManifest

import napari_ini3d

ROOT = Path(__file__).parents[1]


def test_the_version_is_that_of_the_installed_package():
    assert napari_ini3d.__version__ == version("napari-ini3d")


@pytest.mark.parametrize("name", sorted({*napari_ini3d.__all__} - {"__version__"}))
def test_every_public_name_can_be_imported(name):
    assert getattr(napari_ini3d, name).__name__ == name


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="attribute nonsense"):
        napari_ini3d.nonsense  # noqa: B018


def test_the_manifest_validates_and_its_commands_can_be_imported():
    pytest.importorskip("napari", reason="widgets cannot be imported without napari")
    manifest = PluginManifest.from_distribution("napari-ini3d")
    manifest.validate_imports()
    assert manifest.name == "napari-ini3d"


def test_the_manifest_in_the_root_is_the_one_in_the_package():
    link = ROOT / "napari.yaml"
    # a checkout without links, as on Windows, has a file with the target
    target = os.readlink(link) if link.is_symlink() else link.read_text(encoding="utf-8")
    assert target == "src/napari_ini3d/napari.yaml"
    assert (ROOT / target).is_file()


def test_the_command_is_installed():
    (script,) = entry_points(group="console_scripts", name="ini3d")
    assert callable(script.load())


def test_the_package_is_the_command_too():
    command = [sys.executable, "-m", "napari_ini3d", "--version"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert done.stdout.strip() == napari_ini3d.__version__


def test_the_wheel_contains_every_file_of_the_package(tmp_path):
    pytest.importorskip("hatchling")
    code = f"from hatchling.build import build_wheel; build_wheel({str(tmp_path)!r})"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    (metadata,) = (name for name in names if name.endswith(".dist-info/METADATA"))
    description = zipfile.ZipFile(wheel).read(metadata).decode()
    assert "](docs/" not in description  # which leads nowhere from PyPI
    assert "## Two commands" in description
    files = (path for path in (ROOT / "src" / "napari_ini3d").rglob("*") if path.is_file())
    expected = {
        path.relative_to(ROOT / "src").as_posix()
        for path in files
        if "__pycache__" not in path.parts and not path.name.startswith(".")
    }
    kernels = {name for name in expected if name.endswith((".cu", ".cuh"))}
    assert len(kernels) >= 9
    assert {
        f"napari_ini3d/{name}" for name in ("napari.yaml", "py.typed", "report/template.html")
    } <= expected
    assert expected <= names


def imported_by(path: Path) -> set[str]:
    """Return the names of the packages that a module imports anywhere."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            found.add(node.module.partition(".")[0])
    return found - sys.stdlib_module_names - {"napari_ini3d"}


def test_the_dependencies_are_what_is_imported_and_napari_brings_the_rest():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    dependencies = {re.split(r"[^\w-]", text)[0] for text in project["dependencies"]}
    dependencies = {name.lower().replace("_", "-") for name in dependencies}
    package = ROOT / "src" / "napari_ini3d"
    distributions = packages_distributions()
    headless, plugin = set(), set()
    for path in package.rglob("*.py"):
        names = {distributions.get(name, [name])[0] for name in imported_by(path)}
        names = {name.lower().replace("_", "-") for name in names}
        (plugin if package / "plugin" in path.parents else headless).update(names)
    # of extras: GPUs, movies as .mp4, and clusters
    extras = {name for name in headless if name.startswith("cupy") or name == "imageio"}
    extras |= {"dask", "dask-jobqueue", "distributed"}
    assert headless - extras <= dependencies
    brought = {re.split(r"[^\w-]", text)[0].lower() for text in requires("napari") or []}
    assert plugin - dependencies <= {"napari", *brought}
    assert dependencies <= headless | plugin


def test_the_options_on_the_page_of_the_settings_are_those_of_the_settings():
    script = runpy.run_path(str(ROOT / "docs" / "make_options.py"))
    page = (ROOT / "docs" / "options.md").read_text(encoding="utf-8")
    assert "--mask-diameter" in page
    assert page == script["insert_table"](page), "run `python docs/make_options.py`"


def test_every_file_that_the_readme_links_to_exists():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    links = re.findall(r"\]\(([^)#]+)\)", readme)
    assert links
    for link in links:
        assert (ROOT / link).exists(), link
