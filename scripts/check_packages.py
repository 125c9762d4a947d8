"""Build the wheel and the sdist, install each into empty environments, and try what was installed.

usage: python scripts/check_packages.py [--python PROGRAM ...] [--case NAME ...] [--folder PATH]

Cases: `wheel`, `sdist`, the extras `napari`, `all` and `cluster` of the wheel, `into-napari` (the
wheel into an environment that has napari, as its plugin manager installs it), `lowest` (the lowest
version that pyproject.toml allows of each dependency; with the first Python only, which is to be
the oldest, as old versions have no wheels for newer ones), `cuda12` and `cuda13` (gigabytes, which
are resolved and not installed: all wheels exist). In each environment dependencies agree (`pip
check`), `ini3d --version` is that of the project, data files are there, and a tiny run ends; where
napari is installed, the manifest is validated with all imports. Prints a table of what it saw.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
RESOLVED = ("cuda12", "cuda13")
CASES = ("wheel", "sdist", "napari", "all", "cluster", "into-napari", "lowest", *RESOLVED)
DATA_FILES = """
from importlib.resources import files
package = files("napari_ini3d")
names = ("py.typed", "napari.yaml", "__init__.pyi", "report/template.html", "cli/relion/job.star")
for name in names:
    assert (package / name).is_file(), name
kernels = [path.name for path in (package / "kernels" / "cuda").iterdir()]
assert sum(name.endswith((".cu", ".cuh")) for name in kernels) >= 9, kernels
"""


def call(*command: object, cwd: Path | None = None, env: dict[str, str] | None = None) -> str:
    """Run a program and return its output; with another exit code than 0, print it and raise."""
    texts = [str(word) for word in command]
    # the environment has to find the package by itself
    clean = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
    done = subprocess.run(
        texts,
        cwd=cwd,
        env={**clean, **(env or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
    )
    if done.returncode:
        print(f"$ {' '.join(texts)}\n{done.stdout}", file=sys.stderr)
        raise subprocess.CalledProcessError(done.returncode, texts)
    return done.stdout.strip()


class Environment:
    """A new virtual environment."""

    def __init__(self, folder: Path, python: str) -> None:
        call(python, "-m", "venv", folder)
        self.folder = folder
        self.programs = folder / ("Scripts" if os.name == "nt" else "bin")

    def run(self, program: str, *arguments: object, **options: object) -> str:
        """Run one of its programs."""
        return call(self.programs / program, *arguments, **options)

    def install(self, *arguments: object) -> None:
        """Install with pip."""
        self.run("python", "-m", "pip", "install", "--quiet", *arguments)


def build(folder: Path) -> tuple[Path, Path]:
    """Return the wheel and the sdist, the wheel built from the sdist."""
    tools = Environment(folder / "tools", sys.executable)
    tools.install("build")
    tools.run("python", "-m", "build", "--outdir", folder / "dist", ROOT)
    (wheel,), (sdist,) = (folder / "dist").glob("*.whl"), (folder / "dist").glob("*.tar.gz")
    return wheel, sdist


def install(case: str, environment: Environment, folder: Path, files: tuple[Path, Path]) -> None:
    """Install the package in the way of a case."""
    wheel, sdist = files
    if case == "sdist":
        environment.install(sdist)
    elif case in ("napari", "all", "cluster"):
        environment.install(f"{wheel}[{case}]")
    elif case == "into-napari":
        environment.install(*(text for text in extra("napari") if text.startswith("napari")))
        environment.install(wheel)
    elif case == "lowest":
        pins = folder / f"{environment.folder.name}.txt"
        pins.write_text(call(sys.executable, ROOT / "scripts" / "lowest_versions.py"), "utf-8")
        environment.install("--constraint", pins, wheel)
    else:
        environment.install(wheel)


def resolve(case: str, environment: Environment, wheel: Path) -> str:
    """Return the versions that an extra would install, all of them from wheels."""
    environment.install("--upgrade", "pip")
    options = ("--dry-run", "--ignore-installed", "--only-binary", ":all:")
    said = environment.run("python", "-m", "pip", "install", *options, f"{wheel}[{case}]")
    return chosen_versions(said)


def chosen_versions(said: str) -> str:
    """Return what matters of the last line of `pip install --dry-run`."""
    words = said.rpartition("Would install ")[2].split()
    found = [word.rpartition("-") for word in words]
    shown = [
        f"{name} {version}"
        for name, _, version in found
        if name in ("numpy", "numba") or name.startswith("cupy-")
    ]
    return f"{', '.join(shown)}; {len(words)} wheels, not installed"


def extra(name: str) -> list[str]:
    """Return the requirements of an extra of the project."""
    found: list[str] = PROJECT["optional-dependencies"][name]
    return found


def try_out(environment: Environment, folder: Path) -> str:
    """Check an environment, and return the versions that matter."""
    folder.mkdir()
    environment.run("python", "-m", "pip", "check")
    version = environment.run("ini3d", "--version", cwd=folder)
    assert version == PROJECT["version"], version
    environment.run("python", "-c", DATA_FILES, cwd=folder)
    size = ["--number", 60, "--box-size", 32, "--pixel-size", 6]
    environment.run("ini3d", "simulate", "--output", "data", *size, cwd=folder)
    short = ["--mask-diameter", 140, "--iterations", 6, "--threads", 2, "--device", "cpu"]
    environment.run("ini3d", "run", "data/particles.star", "--output", "run", *short, cwd=folder)
    assert (folder / "run" / "RELION_JOB_EXIT_SUCCESS").exists()
    listed = environment.run("python", "-m", "pip", "list", "--format", "freeze").splitlines()
    versions = dict(line.split("==") for line in listed if "==" in line)
    if "napari" in versions:
        offscreen = {"QT_QPA_PLATFORM": "offscreen"}
        environment.run("npe2", "validate", "--imports", "napari-ini3d", env=offscreen)
    shown = [
        f"{name} {versions[name]}" for name in ("numpy", "numba", "napari") if name in versions
    ]
    return ", ".join(shown)


def main() -> None:
    """Check each case with each Python."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--python", nargs="+", default=[sys.executable], metavar="PROGRAM")
    parser.add_argument("--case", nargs="+", default=CASES, choices=CASES)
    parser.add_argument("--folder", type=Path, help="new folder for all files; temporary if none")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ini3d-packages-") as temporary:
        folder = (options.folder or Path(temporary)).resolve()
        files = build(folder)
        for path in files:
            print(f"{path.name}: {path.stat().st_size / 1e6:.1f} MB", flush=True)
        print("\n| Python | case | versions | s |\n| --- | --- | --- | --- |", flush=True)
        for python in options.python:
            name = call(python, "-c", "import platform; print(platform.python_version())")
            later = python != options.python[0]
            for case in (one for one in options.case if not (later and one == "lowest")):
                begin = time.monotonic()
                environment = Environment(folder / f"{case}-{name}", python)
                if case in RESOLVED:
                    versions = resolve(case, environment, files[0])
                else:
                    install(case, environment, folder, files)
                    versions = try_out(environment, folder / f"try-{case}-{name}")
                seconds = time.monotonic() - begin
                print(f"| {name} | {case} | {versions} | {seconds:.0f} |", flush=True)


if __name__ == "__main__":
    main()
