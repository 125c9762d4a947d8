"""Files at the root that other tools parse: citation, hooks, editor settings, issue forms."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
FORMS = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))


def load_yaml(name: str) -> dict:
    return yaml.safe_load((ROOT / name).read_text(encoding="utf-8"))


def test_the_citation_file_has_what_version_1_2_0_requires_and_the_version_of_the_project():
    citation = load_yaml("CITATION.cff")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert citation["cff-version"] == "1.2.0"
    assert {"message", "title", "authors"} <= citation.keys()
    assert citation["type"] == "software"
    assert str(citation["version"]) == project["version"]
    assert citation["license"] == project["license"]
    assert citation["authors"] == project["authors"]


def test_the_newest_release_of_the_changelog_is_the_version_of_the_project_with_its_date():
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    releases = re.findall(r"^## \[(\d[^\]]*)\] - (\d{4}-\d\d-\d\d)$", changelog, flags=re.M)
    citation = load_yaml("CITATION.cff")
    assert releases[0] == (citation["version"], str(citation["date-released"]))


def test_hooks_run_the_tools_of_the_test_command():
    config = load_yaml(".pre-commit-config.yaml")
    hooks = {hook["id"]: hook for repo in config["repos"] for hook in repo["hooks"]}
    script = (ROOT / "scripts" / "test.sh").read_text(encoding="utf-8")
    for name, tool in {"ruff-check": "ruff", "ruff-format": "ruff", "mypy": "mypy"}.items():
        assert hooks[name]["entry"].split()[0] == tool
        assert f"/bin/{tool}" in script
    assert {"end-of-file-fixer", "trailing-whitespace"} <= hooks.keys()


def test_the_editor_settings_have_the_line_length_of_the_linter():
    text = (ROOT / ".editorconfig").read_text(encoding="utf-8")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert text.startswith("root = true\n")
    assert f"max_line_length = {project['tool']['ruff']['line-length']}\n" in text


def test_there_are_forms_for_bugs_features_and_questions():
    assert [path.stem for path in FORMS] == ["bug", "feature", "question"]


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.stem)
def test_an_issue_form_has_the_keys_that_github_requires(path):
    form = load_yaml(str(path.relative_to(ROOT)))
    assert form["name"]
    assert form["description"]
    fields = [entry for entry in form["body"] if entry["type"] != "markdown"]
    assert fields
    identifiers = [field["id"] for field in fields]
    assert len(set(identifiers)) == len(identifiers)
    for entry in form["body"]:
        assert entry["type"] in {"markdown", "input", "textarea", "dropdown", "checkboxes"}
        assert entry["attributes"]["value" if entry["type"] == "markdown" else "label"]
        if entry["type"] in {"dropdown", "checkboxes"}:
            assert entry["attributes"]["options"]


def test_the_form_for_bugs_asks_for_what_is_needed_to_reproduce_one():
    text = (ROOT / ".github" / "ISSUE_TEMPLATE" / "bug.yml").read_text(encoding="utf-8")
    for wanted in ("ini3d --version", "log.txt", "settings.json", "GPU"):
        assert wanted in text
