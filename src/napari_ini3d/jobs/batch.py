"""Batches: the runs of a jobs file, one after another."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from napari_ini3d.cluster import OpenCluster, check_cluster, open_cluster
from napari_ini3d.engine import ClosingStep, IterationReport, ignore_step
from napari_ini3d.errors import explain
from napari_ini3d.jobs.batch_checks import JobCheck
from napari_ini3d.jobs.batch_file import BatchJob
from napari_ini3d.jobs.run import never, resume_run, start_run
from napari_ini3d.kernels import available_threads
from napari_ini3d.report import write_batch_page
from napari_ini3d.runs import JobSummary, run_command

logger = logging.getLogger(__name__)

Follow = Callable[[BatchJob, Iterator[IterationReport]], object]


def do_iterations(_job: BatchJob, reports: Iterator[IterationReport]) -> None:
    """Do the iterations of a run: the default of `follow`."""
    deque(reports, maxlen=0)


@dataclass(frozen=True, slots=True)
class BatchPage:
    """The page of a batch.

    Attributes
    ----------
    path : Path
    title : str
    """

    path: Path
    title: str


def run_batch(
    checks: Sequence[JobCheck],
    page: BatchPage,
    *,
    strict: bool = False,
    stop: Callable[[], bool] = never,
    cluster: str | None = None,
    follow: Follow = do_iterations,
    on_step: Callable[[ClosingStep], None] = ignore_step,
) -> Iterator[JobSummary]:
    """Run the jobs of a batch, and yield the summary of each when it has ended.

    A finished job is skipped, a stopped or failed one resumed; one that fails does not keep the
    next from running. The page is written before the first and after each.

    Parameters
    ----------
    checks : sequence of JobCheck
        From `check_batch`. Jobs with problems fail with these.
    page : BatchPage
    strict, cluster, on_step
        As for `start_run`. A cluster is started once for all.
    stop : callable
        As for `start_run`; no other job begins after it.
    follow : callable
        Called with each job and its reports, which it must iterate over.
    """
    summaries = [_summary(check) for check in checks]
    write_batch_page(page.path, page.title, summaries)
    with _shared_cluster(cluster, checks) as shared:
        for i, check in enumerate(checks):
            if stop():
                return
            error = "\n".join(check.problems)
            try:
                if not error and check.to_do != "nothing":
                    error = _run_job(check, strict, stop, shared, follow, on_step)
            finally:  # also if it is interrupted
                summaries[i] = JobSummary.read(check.job.name, check.job.output, error)
                write_batch_page(page.path, page.title, summaries)
            yield summaries[i]


def _summary(check: JobCheck) -> JobSummary:
    return JobSummary.read(check.job.name, check.job.output, "\n".join(check.problems))


def _run_job(
    check: JobCheck,
    strict: bool,
    stop: Callable[[], bool],
    cluster: OpenCluster | None,
    follow: Follow,
    on_step: Callable[[ClosingStep], None],
) -> str:
    """Start or resume a job; return why it failed, or nothing."""
    job = check.job
    try:
        if check.to_do == "resume":
            reports = resume_run(job.output, stop=stop, cluster=cluster, on_step=on_step)
        else:
            reports = start_run(
                job.files,
                job.output,
                job.settings,
                command=run_command(job.files.path, job.output, job.settings),
                strict=strict,
                stop=stop,
                cluster=cluster,
                on_step=on_step,
            )
        with closing(reports):  # type: ignore[type-var]
            follow(job, reports)
    except BrokenPipeError:  # of what prints
        raise
    except Exception as error:
        logger.info("job %s: %s", job.name, error, exc_info=True)
        return explain(error)
    return ""


@contextmanager
def _shared_cluster(name: str | None, checks: Sequence[JobCheck]) -> Iterator[OpenCluster | None]:
    """Start the cluster of all jobs, if one is named and there is something to do."""
    spec = check_cluster(name)
    left = [check for check in checks if check.to_do != "nothing" and not check.problems]
    if spec is None or not left:
        yield None
        return
    assert not isinstance(spec, OpenCluster)
    threads = max(available_threads(check.job.settings.threads) for check in left)
    with open_cluster(spec, threads) as opened:
        yield opened
