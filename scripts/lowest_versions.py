"""Print pip constraints: each dependency of pyproject.toml at its lowest version."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path


def lowest_versions(project: Path) -> list[str]:
    """Return ``name==version`` for each ``name>=version`` of the dependencies.

    Parameters
    ----------
    project : Path
        pyproject.toml.
    """
    declared = tomllib.loads(project.read_text("utf-8"))["project"]["dependencies"]
    found = [re.fullmatch(r"([\w.-]+)>=([\w.]+)", each) for each in declared]
    for each, match in zip(declared, found, strict=True):
        if match is None:
            raise SystemExit(f"{each}: expected name>=version")
    return [f"{match[1]}=={match[2]}" for match in found if match]


if __name__ == "__main__":
    print("\n".join(lowest_versions(Path(__file__).parents[1] / "pyproject.toml")))
