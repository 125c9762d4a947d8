"""Scripts that check a release: the cases they try, and the files that they look for."""

from __future__ import annotations

import os
import runpy
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


@pytest.fixture(scope="module")
def script():
    return runpy.run_path(str(ROOT / "scripts" / "check_packages.py"))


def test_the_installed_package_has_the_data_files_that_the_script_looks_for(script):
    subprocess.run([sys.executable, "-c", script["DATA_FILES"]], check=True)


def test_the_script_looks_for_every_kind_of_data_file(script):
    package = ROOT / "src" / "napari_ini3d"
    kinds = {path.suffix for path in package.rglob("*.*") if "__pycache__" not in path.parts}
    assert len(kinds) > 6
    assert {kind for kind in kinds if f'{kind}"' not in script["DATA_FILES"]} == {".py"}


def test_a_case_exists_for_each_extra_and_those_of_gpus_are_resolved_only(script):
    extras = set(PROJECT["optional-dependencies"])
    assert extras <= set(script["CASES"])
    assert {name for name in extras if name.startswith("cuda")} == set(script["RESOLVED"])


def test_the_versions_that_pip_would_install_are_read_from_its_last_line(script):
    said = "Collecting numpy\nWould install cupy-cuda12x-14.2.0 idna-3.20 numba-0.68 numpy-2.5"
    found = script["chosen_versions"](said)
    assert found == "cupy-cuda12x 14.2.0, numba 0.68, numpy 2.5; 4 wheels, not installed"


def test_a_program_that_fails_is_shown_with_its_output(script, capsys):
    with pytest.raises(subprocess.CalledProcessError):
        script["call"](sys.executable, "-c", "print('why'); raise SystemExit(3)")
    assert "why" in capsys.readouterr().err


def test_programs_are_run_without_the_path_of_this_checkout(script, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", "elsewhere")
    code = "import os; print(os.environ.get('PYTHONPATH'))"
    assert script["call"](sys.executable, "-c", code) == "None"


@pytest.mark.skipif(os.name == "nt", reason="a script for sh")
@pytest.mark.parametrize("name", ["common.sh", "demo.sh", "test.sh", "test_lowest.sh"])
def test_a_script_for_the_shell_can_be_parsed(name):
    subprocess.run(["sh", "-n", str(ROOT / "scripts" / name)], check=True)


def test_the_constraints_of_the_lowest_versions_name_every_dependency():
    script = runpy.run_path(str(ROOT / "scripts" / "lowest_versions.py"))
    pins = script["lowest_versions"](ROOT / "pyproject.toml")
    assert [pin.replace("==", ">=") for pin in pins] == PROJECT["dependencies"]


def test_a_dependency_without_a_lowest_version_is_refused(tmp_path):
    script = runpy.run_path(str(ROOT / "scripts" / "lowest_versions.py"))
    (tmp_path / "pyproject.toml").write_text('[project]\ndependencies = ["numpy<3"]\n')
    with pytest.raises(SystemExit, match="numpy<3: expected name>=version"):
        script["lowest_versions"](tmp_path / "pyproject.toml")
