"""Page of all errors, warnings and verdicts, made from the source."""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from napari_ini3d import errors

PACKAGE = Path(errors.__file__).parent
LEVELS = {"error": "a run does not start", "warning": "a run starts", "note": "for information"}
VERDICT = PACKAGE / "engine" / "verdict.py"
CURES = {  # of a verdict, by the variable that it judges
    "resolution": "more particles, a better selection of 2D classes, or the right mask diameter",
    "junk": "remove junk by a 2D classification, and check contrast and mask diameter",
    "start_agreement": "more random starts (`--starts`), or another `--seed`",
    "repeat_agreement": "compare the map of a run with another `--seed`; more particles",
    "coverage": "particles in other views: [Preferred views](guides/preferred_views.md)",
}
WRAPPERS = {
    "len",
    "int",
    "str",
    "max",
    "min",
    "sum",
    "np",
    "count_nonzero",
    "join",
    "sorted",
    "round",
}
COUNTERS = {"len", "np.count_nonzero"}
INTRODUCTION = """\
# Errors, warnings and verdicts

Everything that the package reports, made from its source. Words in *italics* stand for values.
Every error is an `Ini3dError`; on the command line its text is printed, and the exit code is 1.
"""


@dataclass(frozen=True, slots=True)
class Message:
    """A message in the source: its kind (class or level), text, cure, and the file it is in."""

    kind: str
    text: str
    cure: str
    file: str
    code: str = ""


def error_classes() -> dict[str, str]:
    """Return the names of the exceptions of the package with the first line of their docstring."""
    found = inspect.getmembers(errors, inspect.isclass)
    return {name: (inspect.getdoc(kind) or "").splitlines()[0] for name, kind in found}


def find_errors() -> tuple[list[Message], int]:
    """Return the errors of the package, and how many are raised with a text made elsewhere."""
    kinds, found, elsewhere = error_classes(), [], 0
    for path, tree in _modules():
        for scope, call in _calls(tree):
            name = _called(call)
            if name not in kinds or not call.args:
                continue
            text = _text(call.args[0], scope)
            if text is None:
                elsewhere += 1
                continue
            message, cure = _split(text)
            found.append(Message(name, message, cure, _relative(path)))
    return found, elsewhere


def find_findings() -> list[Message]:
    """Return the findings of the checks before a run: code, level, what was found, what to do."""
    found = []
    for path, tree in _modules():
        # findings.py passes on the errors of the readers, which are listed as errors
        if "preflight" not in path.parts or path.name == "findings.py":
            continue
        for scope, call in _calls(tree):
            if _called(call) != "Finding":
                continue
            values = {k.arg: _text(k.value, scope) or _placeholder(k.value) for k in call.keywords}
            found.append(
                Message(
                    values["level"],
                    values["message"],
                    values.get("advice", ""),
                    _relative(path),
                    values["code"],
                )
            )
    return sorted(found, key=lambda m: (m.code, m.kind))


def find_warnings() -> list[Message]:
    """Return the warnings in the log."""
    found = []
    for path, tree in _modules():
        for scope, call in _calls(tree):
            if ast.unparse(call.func) != "logger.warning":
                continue
            text = _text(call.args[0], scope)
            if text and text != "%s":
                message, cure = _split(text)
                found.append(Message("warning", message, cure, _relative(path)))
    return found


def find_verdicts() -> list[Message]:
    """Return the reasons of a verdict, with the level that each leads to."""
    found = []
    tree = ast.parse(VERDICT.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if not isinstance(node, ast.FunctionDef) or node.name != "judge_run":
            continue
        for test in (n for n in ast.walk(node) if isinstance(n, ast.If)):
            call = test.body[0].value  # type: ignore[attr-defined]
            judged = next(
                n.id for n in ast.walk(test.test) if isinstance(n, ast.Name) and n.id in CURES
            )
            text = _text(call.args[0], node)
            found.append(
                Message(ast.unparse(call.func.value), text or "", CURES[judged], _relative(VERDICT))
            )
    return found


def format_page() -> str:
    """Return the page as Markdown."""
    found, elsewhere = find_errors()
    lines = [
        INTRODUCTION,
        "## Verdicts on a run",
        "",
        "A run without any of these is *reliable* ([method](method.md#validation)).",
        "",
    ]
    lines += _table(
        ("verdict", "reason", "cure"), [(m.kind, m.text, m.cure) for m in find_verdicts()]
    )
    lines += [
        "## Findings before a run",
        "",
        "Levels: " + "; ".join(f"*{a}*: {b}" for a, b in LEVELS.items()) + ".",
        "",
    ]
    lines += _table(
        ("code", "level", "cause", "cure"),
        [(f"`{m.code}`", m.kind, m.text, m.cure) for m in find_findings()],
    )
    lines += [
        "## Errors",
        "",
        "In the text, the cure follows the last semicolon. "
        f"{elsewhere} errors pass on a text from elsewhere (of the system, of a library, or "
        "several at once), and are not listed.",
        "",
    ]
    for name, about in error_classes().items():
        rows = [m for m in found if m.kind == name]
        if rows:
            lines += [f"### {name}", "", about, ""]
            lines += _table(
                ("cause", "cure", "raised in"), [(m.text, m.cure, f"`{m.file}`") for m in rows]
            )
    lines += ["## Warnings in the log", ""]
    lines += _table(
        ("cause", "cure", "logged in"), [(m.text, m.cure, f"`{m.file}`") for m in find_warnings()]
    )
    return "\n".join(lines)


@cache
def _modules() -> list[tuple[Path, ast.Module]]:
    paths = sorted(PACKAGE.rglob("*.py"))
    return [(path, ast.parse(path.read_text(encoding="utf-8"))) for path in paths]


def _calls(tree: ast.Module) -> Iterator[tuple[ast.AST, ast.Call]]:
    """All calls, each with the innermost function (or the module) that it stands in."""
    pending: list[tuple[ast.AST, ast.AST]] = [(tree, tree)]
    while pending:
        scope, node = pending.pop()
        if isinstance(node, ast.Call):
            yield scope, node
        inner = node if isinstance(node, ast.FunctionDef) else scope
        pending += [(inner, child) for child in reversed(list(ast.iter_child_nodes(node)))]


def _called(call: ast.Call) -> str:
    return call.func.id if isinstance(call.func, ast.Name) else ""


def _text(node: ast.expr, scope: ast.AST) -> str | None:
    """A text as written, with its values in italics; None if it is not written here."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        parts = [_text(node.left, scope), _text(node.right, scope)]
        return None if parts == [None, None] else "".join(part or " *...*" for part in parts)
    if isinstance(node, ast.IfExp):
        either, other = _text(node.body, scope), _text(node.orelse, scope)
        return f"{either} / {other}" if either and other else either or other
    if isinstance(node, ast.JoinedStr):
        return "".join(_value(part, scope) for part in node.values)
    if isinstance(node, ast.Name):
        assigned = [
            n.value
            for n in ast.walk(scope)
            if isinstance(n, ast.Assign)
            and any(isinstance(t, ast.Name) and t.id == node.id for t in n.targets)
        ]
        if len(assigned) == 1 and not isinstance(assigned[0], ast.Name):
            return _text(assigned[0], scope)
        if node.id in _constants():
            return _text(_constants()[node.id], scope)
    return None


def _value(part: ast.expr, scope: ast.AST) -> str:
    if isinstance(part, ast.Constant):
        return str(part.value)
    assert isinstance(part, ast.FormattedValue)
    text = _text(part.value, scope) if isinstance(part.value, ast.Name) else None
    if text is not None:
        return text
    return _placeholder(part.value)


def _placeholder(node: ast.expr) -> str:
    """The name of a value in italics."""
    names = [
        n.attr if isinstance(n, ast.Attribute) else n.id
        for n in ast.walk(node)
        if isinstance(n, ast.Attribute | ast.Name)
    ]
    telling = [name.strip("_").replace("_", " ") for name in names if name not in WRAPPERS]
    counted = isinstance(node, ast.Call) and ast.unparse(node.func) in COUNTERS
    return f"*{'number of ' * counted}{telling[0]}*" if telling else "*...*"


@cache
def _constants() -> dict[str, ast.expr]:
    """The values of all constants of modules, by name."""
    return {
        target.id: node.value
        for _, tree in _modules()
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name) and target.id.strip("_").isupper()
    }


def _split(text: str) -> tuple[str, str]:
    message, separator, cure = text.rpartition("; ")
    return (message, cure) if separator and not cure.startswith("expected") else (text, "")


def _relative(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> list[str]:
    lines = [head, tuple("---" for _ in head), *dict.fromkeys(rows)]
    return [*("| " + " | ".join(map(_cell, line)) + " |" for line in lines), ""]


def _cell(text: str) -> str:
    # no HTML, no table in a table, no link: messages may hold any of their characters
    for character in "<>|[]":
        if not text.startswith("particles in other views"):
            text = text.replace(character, f"&#{ord(character)};")
    return text.replace("\n", " ")


if __name__ == "__main__":
    sys.stdout.write(format_page())
