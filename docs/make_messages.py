"""Page of all errors, warnings and verdicts, made from the source."""

from __future__ import annotations

import ast
import inspect
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from napari_ini3d import errors
from napari_ini3d.symmetry.records import SymmetryBreak
from napari_ini3d.symmetry.verdict import Finding

PACKAGE = Path(errors.__file__).parent
LEVELS = {"error": "a run does not start", "warning": "a run starts", "note": "for information"}
VERDICT = PACKAGE / "engine" / "verdict.py"
CURES = {  # of a verdict, by the variable that it judges
    "finest": "more particles, a better selection of 2D classes, or the right mask diameter",
    "resolution": "more particles: the map may be right, with less detail than a reliable one",
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
What to do is the cure, or what was expected instead.
"""
FORMAT = re.compile(r"%(?:%|[-+0-9.]*[sdrgf])")  # of the texts of the log
NOTIFICATIONS = ("show_error", "show_warning")
BREAK = SymmetryBreak(
    resolution=12, difference=0.4, angle=180, axis_order=2, axis=(0, 0, 1), subgroup="C2"
)


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
    members = inspect.getmembers(errors, inspect.isclass)
    found = {name: (inspect.getdoc(kind) or "").splitlines()[0] for name, kind in members}
    for _, tree in _modules():  # those that only one module raises are defined in it
        for node in tree.body:
            bases = node.bases if isinstance(node, ast.ClassDef) else []
            if {ast.unparse(base) for base in bases} & {*found} and node.name.endswith("Error"):
                found[node.name] = (ast.get_docstring(node) or "").splitlines()[0]
    return found


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
            text, advice = values["message"], values.get("advice", "")
            text, cure = (text, advice) if advice else _split(text)
            found.append(Message(values["level"], text, cure, _relative(path), values["code"]))
    return sorted(found, key=lambda m: (m.code, m.kind))


def find_warnings() -> list[Message]:
    """Return the warnings in the log."""
    found = []
    for path, tree in _modules():
        for scope, call in _calls(tree):
            if ast.unparse(call.func) != "logger.warning":
                continue
            text = _text(call.args[0], scope)
            if text and text not in ("%s", "%s: %s"):
                message, cure = _split(_filled(text, call.args[1:]))
                found.append(Message("warning", message, cure, _relative(path)))
    return found


def _filled(text: str, values: list[ast.expr]) -> str:
    """A text of the log with the names of its values in the place of its formats."""
    names = iter([_placeholder(value) for value in values])
    return FORMAT.sub(lambda found: "%" if found[0] == "%%" else next(names), text)


def find_usage_errors() -> list[Message]:
    """Return the errors of a command line, which end with exit code 2."""
    found = []
    for path, tree in _modules():
        for scope, call in _calls(tree):
            if ast.unparse(call.func) == "typer.BadParameter" and (
                text := _text(call.args[0], scope)
            ):
                found.append(Message("usage", *_split(text), _relative(path)))
    return found


def find_notifications() -> list[Message]:
    """Return the messages of the window that are not those of an error of the package."""
    found = []
    for path, tree in _modules():
        for scope, call in _calls(tree):
            if _called(call) in NOTIFICATIONS and (text := _text(call.args[0], scope)):
                found.append(Message("window", text, "", _relative(path)))
    return found


def symmetry_verdicts() -> list[tuple[str, str, str]]:
    """Return verdicts on a point group, with what each means and what to do."""

    def words(*, holds: bool, noise: bool = False, flat: bool = False, breaks: bool = False) -> str:
        return Finding(
            name="D2",
            holds=holds,
            agreement=0.98 if holds else 0.4,
            resolution=9.1,
            limited_by_noise=noise,
            noise_unknown=flat,
            pseudo=BREAK if breaks else None,
        ).in_words()

    less = "a larger group that is close is named behind it"
    return [
        (words(holds=True, noise=True), "the group is that of the map", "impose it"),
        (
            words(holds=True),
            "the copies agree to that resolution, and differ in finer detail",
            "impose it, and look at the difference map (`--difference`); reconstruct in C1 if the "
            "difference is what you look for",
        ),
        (
            words(holds=True, flat=True),
            "as above, but noise may explain the difference",
            "give the half-maps of a run by giving its folder, or a map whose solvent is not flat",
        ),
        (
            words(holds=False),
            "the map does not have this group",
            "take the group that `detect` finds; another run, if the map itself is in doubt",
        ),
        (
            words(holds=False, breaks=True),
            "some subunits differ from the others",
            "impose the subgroup only, or find the units of the particles by "
            "[`ini3d symmetry relax`](guides/symmetry.md#a-symmetry-that-is-broken)",
        ),
        ("No symmetry found: C1.", f"no group holds; {less}", "refine without symmetry"),
        (
            "No point group can be told: any rotation fits.",
            "the map is a ball or a shell",
            "a map with finer detail; impose the group that is known during the run",
        ),
        (
            "No point group can be told: any rotation about one axis fits; subunits around it less "
            "than *...* Å apart would not show.",
            "the map is a disc, a rod or a smooth ring",
            "a map with finer detail",
        ),
        (
            "No point group can be told: any rotation fits, but for detail as weak as that of two "
            "voxels (*...* Å), whose axes are those of the grid of voxels and may come from the "
            "sampling.",
            "the map is a ball, a disc or a ring of a few voxels, whose corners repeat about the "
            "axes of the grid",
            "a map with finer voxels, or one that is not on the axes of the grid",
        ),
        (
            "No point group can be told: any rotation about one axis fits, but for surfaces that "
            "are out of place by *...* voxels and have the mirror planes of the grid, as those of "
            "a body of whole voxels.",
            "the map is a rod, a tube, a cone or a micelle of whole voxels, perhaps smoothed "
            "afterwards, on the axes of the grid",
            "a map that was not made of whole voxels",
        ),
    ]


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
    lines += ["## Verdicts on a symmetry", "", "Numbers and groups are examples.", ""]
    lines += _table(("verdict", "meaning", "what to do"), symmetry_verdicts())
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
        f"In the text, what to do follows the last semicolon. {elsewhere} errors pass on a text "
        "from elsewhere (of the system, of a library, or several at once), and are not listed.",
        "",
    ]
    for name, about in error_classes().items():
        rows = [m for m in found if m.kind == name]
        if rows:
            lines += [f"### {name}", "", about, ""]
            lines += _table(
                ("cause", "cure", "raised in"), [(m.text, m.cure, f"`{m.file}`") for m in rows]
            )
    lines += ["## Wrong usage", "", "Exit code 2.", ""]
    usage = [(m.text, m.cure, f"`{m.file}`") for m in find_usage_errors()]
    lines += _table(("cause", "cure", "raised in"), usage)
    lines += ["## Messages of the window", "", "Beside the errors above, which it shows too.", ""]
    lines += _table(
        ("message", "shown by"), [(m.text, f"`{m.file}`") for m in find_notifications()]
    )
    lines += ["## Warnings in the log", "", "A run that warns goes on.", ""]
    warnings = [(m.text, m.cure, f"`{m.file}`") for m in find_warnings()]
    lines += _table(("cause", "what is done, or to do", "logged in"), warnings)
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
    parts = text.split("`")  # no semicolon within code divides a text
    for i in reversed(range(0, len(parts), 2)):
        before, found, after = parts[i].rpartition("; ")
        if found:
            return "`".join([*parts[:i], before]), "`".join([after, *parts[i + 1 :]])
    return text, ""


def _relative(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> list[str]:
    lines = [head, tuple("---" for _ in head), *dict.fromkeys(rows)]
    return [*("| " + " | ".join(map(_cell, line)) + " |" for line in lines), ""]


def _cell(text: str) -> str:
    # no HTML, no table in a table, no link: messages may hold any of their characters
    for character in "<>|[]":
        if "](guides/" not in text:
            text = text.replace(character, f"&#{ord(character)};")
    return text.replace("\n", " ")


if __name__ == "__main__":
    sys.stdout.write(format_page())
