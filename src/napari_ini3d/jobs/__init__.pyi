from .group_likelihood import GroupJudgement as GroupJudgement, judge_groups as judge_groups
from .relaxation import (
    RelaxationFiles as RelaxationFiles,
    RelaxedRun as RelaxedRun,
    relax_run as relax_run,
)
from .run import resume_run as resume_run, start_run as start_run
