"""The log file of a run."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from napari_ini3d.io.runs import explain_os_errors


@contextmanager
def log_to_file(path: Path, level: int = logging.INFO) -> Iterator[None]:
    """Append what the package logs to a file, as long as the context lasts."""
    package = logging.getLogger(__name__.partition(".")[0])
    with explain_os_errors(path):
        handler = logging.FileHandler(path, encoding="utf-8")
    handler.setFormatter(
        logging.Formatter("%(asctime)s %(levelname)-7s %(message)s", "%Y-%m-%d %H:%M:%S")
    )
    handler.setLevel(level)
    before = package.level
    package.addHandler(handler)
    package.setLevel(min(level, package.getEffectiveLevel()))
    try:
        yield
    finally:
        package.removeHandler(handler)
        package.setLevel(before)
        handler.close()
