"""Hook of Hatchling: the description of the package for PyPI and napari hub, made from README.md.

Links of the README lead to files of the checkout, which nothing can follow there. If pyproject.toml
names the repository (`Source` in `project.urls`), links and pictures get its address, at the tag of
the version. Until it does, links become plain text, and pictures are left out.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

PICTURE = re.compile(r"!\[[^\]]*\]\((?!\w+:)([^)\s]+)\)")
CAPTION = re.compile(PICTURE.pattern + r"\n\n(\*[^*]+\*\n\n)?")  # a picture and the text below it
LINK = re.compile(r"(?<!!)\[([^\]]+)\]\((?!\w+:|#)([^)\s]+)\)")


def describe(readme: str, source: str, version: str) -> str:
    """Return the README with absolute links, or without links if there is no address.

    Parameters
    ----------
    readme : str
    source : str
        Address of the repository; empty if it has none.
    version : str
    """
    if not source:
        return LINK.sub(r"\1", CAPTION.sub("", readme))
    at = f"v{version}"
    address = source.rstrip("/")
    absolute = PICTURE.sub(
        lambda m: m[0].replace(f"({m[1]})", f"({address}/raw/{at}/{m[1]})"), readme
    )
    return LINK.sub(rf"[\1]({address}/blob/{at}/\2)", absolute)


class CustomMetadataHook(MetadataHookInterface):
    """Sets the description."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Add the description to the metadata of the project."""
        readme = Path(self.root, "README.md").read_text(encoding="utf-8")
        source = metadata.get("urls", {}).get("Source", "")
        text = describe(readme, source, metadata["version"])
        metadata["readme"] = {"content-type": "text/markdown", "text": text}
