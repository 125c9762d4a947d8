"""Reading of YAML files that users write by hand."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

from napari_ini3d.errors import InputError
from napari_ini3d.io.files import read_failure

_CORE_SCHEMA = {  # of YAML 1.2, section 10.3.2; in 1.1 `yes` is true and 1:30 is 90
    "null": (r"(?:~|null|Null|NULL|)", ["~", "n", "N", ""]),
    "bool": (r"(?:true|True|TRUE|false|False|FALSE)", list("tTfF")),
    "int": (r"[-+]?[0-9]+", list("-+0123456789")),
    "float": (
        r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?",
        list("-+.0123456789"),
    ),
}


def read_yaml(path: Path) -> Any:
    """Return the content of a YAML file: mappings, lists, text, numbers, booleans and None.

    Plain words are read by the core schema of YAML 1.2, so that ``yes`` and ``04:00:00`` are text,
    and 1e-3 is a number.

    Parameters
    ----------
    path : Path

    Raises
    ------
    InputError
        If it cannot be read, is no YAML, or has a key twice in one mapping.
    """
    import yaml

    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(read_failure(path, error, "give an existing YAML file")) from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is no text in UTF-8; save it in this encoding") from error
    try:
        return yaml.load(text, Loader=_loader())
    except (yaml.YAMLError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f" in line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or type(error).__name__
        raise InputError(
            f"{path} cannot be read as YAML{where} ({problem}); correct the line, as in `name: "
            "value`"
        ) from error


@cache
def _loader() -> Any:
    """Return PyYAML's safe loader with the core schema, which refuses a key that comes twice."""
    import yaml

    class Loader(yaml.SafeLoader):  # type: ignore[misc]
        yaml_implicit_resolvers: ClassVar[dict[str, list[tuple[str, re.Pattern[str]]]]] = {}

        def construct_mapping(self, node: Any, deep: bool = False) -> Any:
            seen: set[str] = set()
            for key, _ in node.value:
                name = str(key.value)
                if name in seen:
                    raise yaml.constructor.ConstructorError(
                        problem=f"the key {name!r} comes twice", problem_mark=key.start_mark
                    )
                seen.add(name)
            return super().construct_mapping(node, deep=deep)

    for name, (pattern, first) in _CORE_SCHEMA.items():
        Loader.add_implicit_resolver(f"tag:yaml.org,2002:{name}", re.compile(f"{pattern}$"), first)
    Loader.add_constructor("tag:yaml.org,2002:int", lambda _, node: int(node.value))
    Loader.add_constructor("tag:yaml.org,2002:float", lambda _, node: float(node.value))
    return Loader
