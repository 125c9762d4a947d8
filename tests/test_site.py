"""The documentation site: it builds without warnings, and names only commands that exist."""

from __future__ import annotations

import importlib
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer.main

from napari_ini3d import errors
from napari_ini3d.cli.app import app

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md")])
SHELL = re.compile(r"^ *```sh\n(.*?)^ *```", flags=re.M | re.S)
LINK = re.compile(r"\]\((?!\w+:|#)([^)\s#]+)")


@pytest.fixture
def site_module(monkeypatch):
    """Import a module of docs/, as MkDocs does."""

    def load(name: str) -> Any:
        monkeypatch.syspath_prepend(str(DOCS))
        return importlib.import_module(name)

    return load


def commands_of(page: str) -> list[list[str]]:
    """The words of each `ini3d` command in the shell blocks of a page."""
    text = "\n".join(SHELL.findall(page)).replace("\\\n", " ")
    lines = [line.partition(" #")[0].partition(" > ")[0] for line in text.splitlines()]
    found = (re.search(r"(?:^|\s)ini3d (?=[a-z-])(.*)", line) for line in lines)
    return [shlex.split(match[1].partition(" ||")[0]) for match in found if match]


def unknown_words(words: list[str]) -> list[str]:
    """The subcommand and the options of a command line that `ini3d` does not know."""
    command = typer.main.get_command(app)
    while hasattr(command, "commands") and words:
        if words[0] not in command.commands:
            return words[:1] * (not words[0].startswith("--"))
        command, words = command.commands[words[0]], words[1:]
    known = {"--help"}.union(*((*p.opts, *p.secondary_opts) for p in command.params))
    return [word for word in words if re.match(r"--?[a-z]", word) and word not in known]


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_command_on_a_page_has_options_that_exist(page):
    commands = commands_of(page.read_text(encoding="utf-8"))
    assert [words for words in commands if unknown_words(words)] == []


def test_commands_are_found_and_wrong_ones_are_seen():
    page = "```sh\nini3d run a.star --output b \\\n --mask 200 # c\nini3d rum a.star || true\n```"
    assert commands_of(page) == [
        ["run", "a.star", "--output", "b", "--mask", "200"],
        ["rum", "a.star"],
    ]
    assert [unknown_words(words) for words in commands_of(page)] == [["--mask"], ["rum"]]
    assert sum(len(commands_of(path.read_text(encoding="utf-8"))) for path in PAGES) > 40


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_file_a_page_links_to_is_there_or_is_made(page, site_module):
    made = {DOCS / name for name in site_module("make_pages").generated_pages()}
    targets = {(page.parent / link).resolve() for link in LINK.findall(page.read_text("utf-8"))}
    assert [path for path in targets - made if not path.exists()] == []


@pytest.mark.slow
def test_the_site_is_built_without_warnings(tmp_path):
    pytest.importorskip("mkdocs", reason="MkDocs is not installed")
    pytest.importorskip("mkdocstrings_handlers.python", reason="mkdocstrings is not installed")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)]
    done = subprocess.run(
        command,
        cwd=ROOT,
        capture_output=True,
        text=True,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
    )
    assert done.returncode == 0, done.stderr
    api = (tmp_path / "api" / "index.html").read_text(encoding="utf-8")
    assert "napari_ini3d.jobs.run.start_run" in api
    assert "Reconstruct an initial model" in (tmp_path / "commands/index.html").read_text("utf-8")


def test_the_tables_of_benchmarks_have_the_numbers_of_their_files(site_module):
    made = site_module("make_quality").pages()
    pages = {name: text.replace("\u00a0", " ") for name, text in made.items()}
    results = json.loads((ROOT / "benchmarks/results/quality_sets.json").read_text("utf-8"))
    for found in results["sets"]:
        assert (
            f"| {found['median_fsc05']:.1f} Å | {found['worst_fsc05']:.1f} Å |"
            in (pages["quality/maps.md"])
        )
    robust = json.loads((ROOT / "benchmarks/results/robustness.json").read_text("utf-8"))
    runs = [run for group in robust["sets"].values() for run in group["runs"]]
    assert pages["quality/robustness.md"].count(" s |\n") == len(runs)
    classes = json.loads((ROOT / "benchmarks/results/classes.json").read_text("utf-8"))
    for key, found in classes.items():
        row = f"| {key} | {len(found['runs'])} | {found['median']:.2f} | {found['worst']:.2f} |"
        assert row in pages["quality/robustness.md"]


def test_the_table_of_faults_has_the_numbers_of_its_file(site_module):
    page = site_module("make_quality").pages()["quality/reliability.md"]
    results = json.loads((ROOT / "benchmarks/results/faults.json").read_text("utf-8"))
    assert page.count("\n| ") == len(results) + 2
    assert "| kill -9 at a random moment, then resume | 50 | 50 | 0 | 0 |" in page


def test_every_event_of_json_output_is_on_its_page():
    page = (DOCS / "outputs.md").read_text("utf-8")
    sources = (ROOT / "src/napari_ini3d/cli").rglob("*.py")
    events = {name for path in sources for name in re.findall(r'\bemit\("(\w+)"', path.read_text())}
    assert len(events) > 15
    assert [name for name in events | {"error"} if f"`{name}`" not in page] == []


def test_the_catalogue_has_every_class_of_errors_that_is_raised_and_every_code(site_module):
    messages = site_module("make_messages")
    found, elsewhere = messages.find_errors()
    kinds = {message.kind for message in found}
    concrete = {
        "AddressSpaceError",
        "ClusterError",
        "CryosparcError",
        "DeviceError",
        "DownloadError",
        "InputError",
        "MapError",
        "RunFolderError",
    }
    concrete |= {"RunProcessError", "SettingsError", "StackError", "StarError", "SymmetryError"}
    assert kinds == concrete | {"ChangedImagesError"}
    assert all(hasattr(errors, kind) for kind in concrete)
    assert len(found) > 200
    assert elsewhere < len(found) / 10
    listed = re.findall(r"^\| (`.*`) \|", (DOCS / "inputs.md").read_text("utf-8"), flags=re.M)
    codes = {code for cell in listed for code in re.findall(r"`([\w-]+)`", cell)}
    from_readers = {"particles", "stack"}  # texts of StarError, CryosparcError, StackError
    assert {message.code for message in messages.find_findings()} == codes - from_readers


ELSEWHERE = {  # texts whose cure comes with one of their values
    "cannot write *path*: *cause*",
    "the process of the run (*pid*) *describe exit*",
    "the worker on *gethostname*: *error*",
}


def test_every_error_says_what_to_do(site_module):
    messages = site_module("make_messages")
    found = [*messages.find_errors()[0], *messages.find_usage_errors()]
    without = {message.text for message in found if not message.cure}
    assert without - ELSEWHERE == {"the movie is not written"}  # never shown: ends a writer


def test_every_warning_says_what_is_done_or_to_do(site_module):
    messages = site_module("make_messages")
    warnings = [m for m in messages.find_findings() if m.kind != "note"]
    warnings += messages.find_warnings()
    assert len(warnings) > 50
    without = {message.text for message in warnings if not message.cure}
    assert without == {"*error*"}  # of the mask diameter: a SettingsError, which is listed


def test_the_catalogue_has_what_ends_a_command_or_is_shown_in_the_window(site_module):
    page = site_module("make_messages").format_page()
    for text in ("--json and --quiet exclude each other", "press Compare again"):
        assert text in page
    assert "%s" not in page


def test_the_verdicts_on_a_symmetry_are_explained_in_the_words_of_the_program(site_module):
    rows = site_module("make_messages").symmetry_verdicts()
    assert len({words for words, _, _ in rows}) == len(rows) == 10
    assert all(meaning and cure for _, meaning, cure in rows)
    assert rows[0][0] == "D2 holds to 9.1 Å (FSC of the symmetry copies)"
    assert rows[4][0].startswith("D2 is pseudo-symmetry (only C2 holds): it breaks at 12 Å")


def test_every_reason_of_a_verdict_has_a_cure(site_module):
    messages = site_module("make_messages")
    reasons = messages.find_verdicts()
    assert {reason.kind for reason in reasons} == {"failed", "uncertain"}
    assert len(reasons) == 6
    assert all(reason.text and reason.cure for reason in reasons)
