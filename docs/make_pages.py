"""Pages of the site that are made from code, benchmarks and the files at the root."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import make_messages
import make_quality
import make_reference

ROOT = Path(__file__).parents[1]
AT_ROOT = {"changelog.md": "CHANGELOG.md", "contributing.md": "CONTRIBUTING.md"}


@cache
def generated_pages() -> dict[str, str]:
    """Return the pages that are not files of `docs`, by their path in the site."""
    pages = {page: (ROOT / name).read_text(encoding="utf-8") for page, name in AT_ROOT.items()}
    return {
        **pages,
        **make_quality.pages(),
        "messages.md": make_messages.format_page(),
        "commands.md": make_reference.format_commands(),
        "api.md": make_reference.format_api(),
    }
