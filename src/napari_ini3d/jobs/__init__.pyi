from .batch import BatchPage as BatchPage, run_batch as run_batch
from .batch_checks import JobCheck as JobCheck, check_batch as check_batch
from .batch_file import Batch as Batch, BatchJob as BatchJob, read_batch as read_batch
from .group_likelihood import GroupJudgement as GroupJudgement, judge_groups as judge_groups
from .relaxation import (
    RelaxationFiles as RelaxationFiles,
    RelaxedRun as RelaxedRun,
    relax_run as relax_run,
)
from .run import resume_run as resume_run, start_run as start_run
