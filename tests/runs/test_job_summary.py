"""Times and states of the jobs of a batch, from their run folders."""

import pytest
from fake_runs import write_fake_run

from napari_ini3d.runs import JobSummary, logged_seconds

LOG = """\
2026-01-01 10:00:00 INFO    napari-ini3d 0.2.0
2026-01-01 10:00:07 INFO    iteration 1
Traceback (most recent call last):
2026-01-01 10:00:30 WARNING stopped
2026-01-02 08:00:00 INFO    napari-ini3d 0.2.0, resumed
2026-01-02 08:01:00 INFO    finished
"""


def test_the_time_between_the_sessions_of_a_run_is_not_counted(tmp_path):
    path = tmp_path / "log.txt"
    assert logged_seconds(path) == 0
    path.write_text(LOG, encoding="utf-8")
    assert logged_seconds(path) == 30 + 60


def test_a_job_without_a_run_waits_and_one_that_was_killed_says_so(tmp_path):
    assert JobSummary.read("a", tmp_path / "none").state == "waiting"
    assert JobSummary.read("a", tmp_path / "none", error="why").state == "failed"
    folder = write_fake_run(tmp_path / "run", 2)
    killed = JobSummary.read("a", folder.path)
    assert killed.state == "killed"
    assert killed.resolution == (pytest.approx(15.0), "last iteration")
    folder.mark("SUCCESS")
    assert JobSummary.read("a", folder.path).state == "finished"
    assert JobSummary.read("a", folder.path, error="why").state == "failed"
