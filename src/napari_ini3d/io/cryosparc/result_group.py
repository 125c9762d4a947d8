"""Result groups of cryoSPARC (`.csg`), which its job *Import Result Group* takes."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from napari_ini3d.io.cryosparc.dataset import UID, Fields
from napari_ini3d.io.files import atomic_path

_RESULTS = ("blob", "ctf", "alignments2D", "alignments3D", "alignments3D_multi", "location")
_FORMAT = "v4.4.1"


def write_result_group(path: Path, dataset: Path, fields: Fields) -> None:
    """Write the result group of a dataset of particles, in the folder of the dataset.

    It lists the results of the dataset that cryoSPARC knows; a path that begins with ``>`` is
    relative to the group.

    Raises
    ------
    RunFolderError
        If the file cannot be written.
    """
    found = {name.partition("/")[0] for name in fields}
    lines = [
        f"created: {datetime.now().isoformat(sep=' ')}",
        "group:",
        "  description: Particles converted by napari-ini3d",
        "  name: particles",
        "  title: Particles",
        "  type: particle",
        "results:",
    ]
    for result in (name for name in _RESULTS if name in found):
        lines += [
            f"  {result}:",
            f"    metafile: {_quote(f'>{dataset.name}')}",
            f"    num_items: {len(fields[UID])}",
            f"    type: particle.{result}",
        ]
    with atomic_path(path) as temporary:
        temporary.write_text("\n".join([*lines, f"version: {_FORMAT}", ""]), encoding="utf-8")


def _quote(text: str) -> str:
    """Return a text as a quoted YAML string."""
    return "'" + text.replace("'", "''") + "'"
