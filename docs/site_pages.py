"""Hook of MkDocs: pages that are made from the code, the benchmarks and the files at the root.

`mkdocs build --strict` in the root of the checkout makes the site. Links that lead out of `docs`
become names of files, as the address of the repository is that of whoever publishes the site.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from make_pages import AT_ROOT, generated_pages
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]
LINK = re.compile(r"(?<!!)\[((?:[^\[\]]|\[[^\]]*\])*)\]\((?!\w+:|#)([^)\s]+)\)")


def on_files(files: Files, config: Any) -> Files:
    """Add the generated pages to the site."""
    for page, text in generated_pages().items():
        files.append(File.generated(config, page, content=text))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Lead links to files at the root to their pages, and name the files that have none."""
    source = page.file.src_uri
    folder = ROOT if source in AT_ROOT else (ROOT / "docs" / source).parent
    return LINK.sub(lambda link: _resolve(link, folder, source), markdown)


def _resolve(link: re.Match[str], folder: Path, source: str) -> str:
    text, (name, _, anchor) = link[1], link[2].partition("#")
    target = (folder / name).resolve()
    for page, at_root in {**AT_ROOT, "index.md": "README.md"}.items():
        if target == ROOT / at_root:
            target = ROOT / "docs" / page
    if not target.is_relative_to(ROOT / "docs"):
        return text
    up = "../" * source.count("/")
    path = up + target.relative_to(ROOT / "docs").as_posix()
    return f"[{text}]({path}{'#' * bool(anchor)}{anchor})"
