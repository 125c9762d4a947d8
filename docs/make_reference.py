"""Pages of the commands and of the Python API, made from the command line and the stub."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer.main

import napari_ini3d
from napari_ini3d.cli.app import app

STUB = Path(napari_ini3d.__file__).with_suffix(".pyi")


def format_commands() -> str:
    """Return the page of all commands with their options."""
    lines = [
        "# Commands",
        "",
        "`ini3d COMMAND --help` prints the same, with ranges. The settings of `ini3d run` and "
        "`ini3d check` are on the page [Settings](options.md).",
        "",
    ]
    root = typer.main.get_command(app)
    for name, command in _commands(root, "ini3d"):
        lines += [f"## {name}", "", _unwrap(command.help or ""), ""]
        rows = [_row(parameter) for parameter in command.params if _is_listed(parameter)]
        if rows:
            lines += ["| option | what it does |", "| --- | --- |", *rows, ""]
    return "\n".join(lines)


def format_api() -> str:
    """Return the page of the public names, for mkdocstrings to fill."""
    modules = re.findall(
        r"^from (\.[\w.]+) import (\([^)]*\)|[^\n]+)", STUB.read_text(encoding="utf-8"), re.M
    )
    lines = [
        "# Python API",
        "",
        "`import napari_ini3d` loads neither Qt nor napari. Scripts that use these functions "
        "are in `examples/`.",
        "",
    ]
    for _, names in modules:
        for name in re.findall(r"(\w+) as \1", names):
            if not name.startswith("_"):
                public = getattr(napari_ini3d, name)
                lines += [f"::: {public.__module__}.{name}", "    options:"]
                lines += [f"      heading: napari_ini3d.{name}", f"      toc_label: {name}", ""]
    return "\n".join(lines)


def _commands(group: Any, name: str) -> Iterator[tuple[str, Any]]:
    for key, command in getattr(group, "commands", {}).items():
        if hasattr(command, "commands"):
            yield from _commands(command, f"{name} {key}")
        else:
            yield f"{name} {key}", command


def _is_listed(parameter: Any) -> bool:
    return getattr(parameter, "rich_help_panel", None) is None and "--help" not in parameter.opts


def _row(parameter: Any) -> str:
    name = parameter.name.upper()
    if parameter.param_type_name == "option":
        name = ", ".join([*parameter.opts, *parameter.secondary_opts])
    text = _unwrap(getattr(parameter, "help", "") or "").replace("|", "&#124;")
    return f"| `{name}` | {text}{' *Required.*' if parameter.required else ''} |"


def _unwrap(text: str) -> str:
    return "\n\n".join(" ".join(part.split()) for part in text.split("\n\n"))
