"""Output nodes of an External job: the files that RELION offers to other jobs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from napari_ini3d.io.star.format import write_tables

NodeKind = Literal["map", "particles", "log"]

_NUMBERS: dict[NodeKind, int] = {"particles": 3, "map": 6, "log": 13}  # of RELION 3.1
_LABELS: dict[NodeKind, str] = {  # of RELION 5; RELION 4 has the same, but for particles
    "particles": "ParticleGroupMetadata.star.relion",
    "map": "DensityMap.mrc.relion.initialmodel",
    "log": "LogFile.pdf.relion.initialmodel",
}
_PARTICLES_OF_RELION_4 = "ParticlesData.star"
_PIPELINE = "default_pipeline.star"


@dataclass(frozen=True, slots=True)
class OutputNode:
    """A file that other jobs of RELION can use.

    Attributes
    ----------
    name : str
        Path from the project folder.
    kind : {"map", "particles", "log"}
    """

    name: str
    kind: NodeKind


def write_output_nodes(path: Path | str, nodes: Sequence[OutputNode], project: Path) -> None:
    """Write ``RELION_OUTPUT_NODES.star``, which RELION reads when an External job has finished.

    The type of a node is written as a number, which RELION 3.1 reads, and as a label, which
    RELION 4 and 5 read. For particles these two have different labels; that of the labels in
    ``default_pipeline.star`` is written.

    Parameters
    ----------
    path : Path or str
    nodes : sequence of OutputNode
    project : Path
        Project folder.

    Raises
    ------
    RunFolderError
        If the file cannot be written.
    """
    labels = _LABELS
    if _is_relion_4(project):
        labels = {**_LABELS, "particles": f"{_PARTICLES_OF_RELION_4}.relion"}
    columns = {
        "rlnPipeLineNodeName": np.array([node.name for node in nodes], dtype=object),
        "rlnPipeLineNodeTypeLabel": np.array([labels[node.kind] for node in nodes], dtype=object),
        "rlnPipeLineNodeType": np.array([_NUMBERS[node.kind] for node in nodes], dtype=np.int64),
    }
    write_tables(path, {"output_nodes": columns})


def _is_relion_4(project: Path) -> bool:
    try:
        pipeline = (project / _PIPELINE).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return _PARTICLES_OF_RELION_4 in pipeline
