"""Run on a cluster: what sums over the chunks of a run, in this process or beyond it."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace

from napari_ini3d.cluster import Cluster, ClusterSpec, DaskChunks, StackRecipe, connect
from napari_ini3d.engine import ChunkExecutor, LocalChunks
from napari_ini3d.io import StackReader
from napari_ini3d.jobs.preparation import Job
from napari_ini3d.kernels import available_threads

logger = logging.getLogger(__name__)

_PATIENCE, _PATIENCE_IN_A_QUEUE = 60.0, 7 * 24 * 3600.0  # seconds, for a worker


def record_cluster(job: Job, cluster: Cluster | None) -> None:
    """Keep in the record of a run on which cluster it is, for those who resume it."""
    text = "" if cluster is None else _spec_of(cluster).text
    if text != job.record.cluster:
        job.folder.write_record(replace(job.record, cluster=text))


def _spec_of(cluster: Cluster) -> ClusterSpec:
    return cluster if isinstance(cluster, ClusterSpec) else cluster.spec


@contextmanager
def open_chunks(job: Job, reader: StackReader, cluster: Cluster | None) -> Iterator[ChunkExecutor]:
    """Yield what sums over the chunks of a run: this process, or the workers of a cluster.

    Parameters
    ----------
    job : Job
    reader : StackReader
        Of the run, for its grid.
    cluster : ClusterSpec, OpenCluster or None
    """
    if cluster is None:
        yield LocalChunks()
        return
    recipe = StackRecipe(
        particles=job.particles,
        box_size=reader.box_size,
        pixel_size=reader.pixel_size,
        checksums=job.checksums,
        max_excluded=job.settings.max_excluded,
        scratch=job.settings.scratch,
    )
    spec = _spec_of(cluster)
    logger.info("cluster: %s", spec.text)
    patience = _PATIENCE_IN_A_QUEUE if spec.kind == "slurm" else _PATIENCE
    with (
        connect(cluster, available_threads(job.settings.threads)) as client,
        closing(DaskChunks(client, recipe.absolute, patience)) as chunks,
    ):
        yield chunks
