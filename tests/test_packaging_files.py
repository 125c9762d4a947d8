"""Files for packagers: versions, dependencies and copied files agree; the job script works."""

from __future__ import annotations

import contextlib
import os
import re
import runpy
import shutil
import signal
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
PACKAGING = ROOT / "packaging"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
BUILT_FROM = {"pyproject.toml", "README.md", "LICENSE", "packaging/readme.py", "src"}
README = (ROOT / "README.md").read_text(encoding="utf-8")
RELATIVE = re.compile(r"\]\((?!https?:)")
CONDA_NAMES = {"lazy_loader": "lazy-loader", "matplotlib": "matplotlib-base"}
# A stand-in for ini3d: it writes down its arguments, and waits for SIGTERM where it is told to.
STAND_IN = """#!/bin/sh
echo "$@" >> "$CALLS"
[ -z "$WAITS" ] && exit 0
trap 'echo stopped >> "$CALLS"; exit 143' TERM
echo ready > "$WAITS"
while :; do sleep 0.05; done
"""


@pytest.fixture(scope="module")
def recipe():
    """The conda recipe, with the values of its context filled in."""
    text = (PACKAGING / "recipe.yaml").read_text(encoding="utf-8")
    context = yaml.safe_load(text)["context"]
    for name, value in context.items():
        text = text.replace(f"${{{{ {name} }}}}", value)
    return yaml.safe_load(text)


def test_the_conda_recipe_has_the_version_and_the_dependencies_of_the_project(recipe):
    assert recipe["package"] == {"name": PROJECT["name"], "version": PROJECT["version"]}
    wanted = [f"python {PROJECT['requires-python']}"]
    for dependency in PROJECT["dependencies"]:
        name, version = dependency.split(">=")
        wanted.append(f"{CONDA_NAMES.get(name, name)} >={version}")
    assert recipe["requirements"]["run"] == wanted


def test_the_conda_package_is_one_for_all_systems_with_the_command_and_the_licence(recipe):
    assert recipe["build"]["noarch"] == "python"
    scripts = [f"{name} = {target}" for name, target in PROJECT["scripts"].items()]
    assert recipe["build"]["python"]["entry_points"] == scripts
    assert recipe["about"]["summary"] == PROJECT["description"]
    assert recipe["about"]["license"] == PROJECT["license"]
    assert (ROOT / recipe["about"]["license_file"]).is_file()


def test_the_conda_package_is_built_by_the_tools_of_the_project(recipe):
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    tools = tomllib.loads(text)["build-system"]["requires"]
    oldest = PROJECT["requires-python"].removeprefix(">=")
    assert recipe["requirements"]["host"] == [f"python {oldest}.*", "pip", *tools]


@pytest.mark.parametrize("name", ["Dockerfile", "Dockerfile.cuda"])
def test_a_container_file_copies_what_a_build_needs(name):
    text = (PACKAGING / name).read_text(encoding="utf-8")
    copied = {
        word
        for line in re.findall(r"^COPY (?!--from)(.*)", text, flags=re.M)
        for word in line.split()[:-1]
    }
    assert copied == BUILT_FROM
    assert all((ROOT / word).exists() for word in copied)
    extras = re.findall(r"\.\[(\w+)\]", text)
    assert set(extras) <= PROJECT["optional-dependencies"].keys()


def test_the_definition_for_apptainer_copies_the_same_files():
    text = (PACKAGING / "apptainer.def").read_text(encoding="utf-8")
    pairs = re.findall(r"^    (\S+) /build/(\S+)$", text, flags=re.M)
    assert {source for source, _ in pairs} == BUILT_FROM
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


@pytest.fixture(scope="module")
def describe():
    pytest.importorskip("hatchling")
    return runpy.run_path(str(PACKAGING / "readme.py"))["describe"]


def test_without_an_address_the_description_has_no_link_to_a_file_and_all_words(describe):
    text = describe(README, "", "0.2.0")
    assert not RELATIVE.search(text)
    assert "![" not in text
    assert "takes shape" in README
    assert "takes shape" not in text
    for words in ("## Two commands", "first model from RELION, from cryoSPARC", "BSD-3-Clause"):
        assert words in text


def test_with_an_address_links_and_pictures_of_the_description_are_those_of_the_tag(describe):
    text = describe(README, "https://example.org/ini3d/", "0.2.0")
    assert not RELATIVE.search(text)
    first = re.search(r"!\[[^\]]*\]\(([^)]+)\)", text)
    assert first[1] == "https://example.org/ini3d/raw/v0.2.0/docs/images/taking_shape.gif"
    assert "](https://example.org/ini3d/blob/v0.2.0/docs/guides/relion.md)" in text
    assert len(text.split("](")) == len(README.split("]("))


def test_the_packages_that_qt_needs_are_those_of_the_page_on_installation():
    script = (ROOT / "scripts" / "test.sh").read_text(encoding="utf-8")
    page = (ROOT / "docs" / "install.md").read_text(encoding="utf-8")
    in_script, on_page = (
        set(re.search(rf"{start} ((?:[^\n]*\\\n)*[^\n]*)", text)[1].replace("\\\n", " ").split())
        for start, text in (("need_packages", script), ("apt-get install", page))
    )
    assert in_script - on_page == {"g++", "xvfb", "xauth"}
    assert on_page <= in_script
