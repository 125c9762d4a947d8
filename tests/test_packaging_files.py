"""Files for packagers: versions, dependencies and copied files agree; the job script works."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGING = ROOT / "packaging"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
CONDA_NAMES = {"lazy_loader": "lazy-loader", "matplotlib": "matplotlib-base"}
# A stand-in for ini3d: it writes down its arguments, and waits for SIGTERM where it is told to.
STAND_IN = """#!/bin/sh
echo "$@" >> "$CALLS"
[ -z "$WAITS" ] && exit 0
trap 'echo stopped >> "$CALLS"; exit 143' TERM
echo ready > "$WAITS"
while :; do sleep 0.05; done
"""


def read_recipe() -> str:
    return (PACKAGING / "meta.yaml").read_text(encoding="utf-8")


def test_the_conda_recipe_has_the_version_and_the_dependencies_of_the_project():
    recipe = read_recipe()
    assert f'{{% set version = "{PROJECT["version"]}" %}}' in recipe
    run = recipe.partition("  run:\n")[2].partition("\ntest:")[0]
    wanted = ["python >=3.11"]
    for dependency in PROJECT["dependencies"]:
        name, version = dependency.split(">=")
        wanted.append(f"{CONDA_NAMES.get(name, name)} >={version}")
    assert re.findall(r"- (.+)", run) == wanted


@pytest.mark.parametrize("name", ["Dockerfile", "Dockerfile.cuda"])
def test_a_container_file_copies_what_a_build_needs(name):
    text = (PACKAGING / name).read_text(encoding="utf-8")
    copied = {
        word
        for line in re.findall(r"^COPY (?!--from)(.*)", text, flags=re.M)
        for word in line.split()[:-1]
    }
    assert copied == {"pyproject.toml", "README.md", "LICENSE", "src"}
    assert all((ROOT / word).exists() for word in copied)
    extras = re.findall(r"\.\[(\w+)\]", text)
    assert set(extras) <= PROJECT["optional-dependencies"].keys()


def test_the_definition_for_apptainer_copies_the_same_files():
    text = (PACKAGING / "apptainer.def").read_text(encoding="utf-8")
    pairs = re.findall(r"^    (\S+) /build/(\S+)$", text, flags=re.M)
    assert {source for source, _ in pairs} == {"pyproject.toml", "README.md", "LICENSE", "src"}
    assert all(source == target for source, target in pairs)


@pytest.fixture
def job(tmp_path):
    """A function that prepares the job script with a stand-in for ini3d: command, environment."""
    if not shutil.which("bash"):
        pytest.skip("no bash")
    program = tmp_path / "bin" / "ini3d"
    program.parent.mkdir()
    program.write_text(STAND_IN, encoding="utf-8")
    program.chmod(0o755)
    path = f"{program.parent}{os.pathsep}{os.environ['PATH']}"
    script = str(PACKAGING / "slurm.sh")
    env = {**os.environ, "PATH": path, "CALLS": str(tmp_path / "calls"), "WAITS": ""}
    env.update(SLURM_CPUS_PER_TASK="16", TMPDIR="/local")
    return ["bash", script, "particles.star", str(tmp_path / "job1")], env


def test_the_job_script_starts_a_run_with_the_cores_and_the_disk_of_the_node(job, tmp_path):
    command, env = job
    subprocess.run([*command, "--mask-diameter", "200"], env=env, check=True)
    calls = (tmp_path / "calls").read_text(encoding="utf-8")
    assert calls == (
        f"run particles.star --output {tmp_path / 'job1'} --threads 16 --scratch /local "
        "--mask-diameter 200\n"
    )


def test_the_job_script_resumes_a_run_that_has_a_checkpoint(job, tmp_path):
    command, env = job
    (tmp_path / "job1").mkdir()
    (tmp_path / "job1" / "checkpoint.npz").touch()
    subprocess.run(command, env=env, check=True)
    assert (tmp_path / "calls").read_text(encoding="utf-8") == f"resume {tmp_path / 'job1'}\n"


def test_the_job_script_passes_sigterm_on_and_waits_for_the_run_to_end(job, tmp_path):
    command, env = job
    env["WAITS"] = str(tmp_path / "ready")
    process = subprocess.Popen(command, env=env, start_new_session=True)
    try:
        while not (tmp_path / "ready").exists():
            assert process.poll() is None
        process.terminate()
        assert process.wait(timeout=60) == 143
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # a stand-in that was not stopped
    assert (tmp_path / "calls").read_text(encoding="utf-8").endswith("stopped\n")
