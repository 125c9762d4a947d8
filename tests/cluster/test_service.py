"""A cluster of its own: started, looked at, used by a run, and stopped by its scheduler file."""

import json
import os
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from napari_ini3d.cli.app import app
from napari_ini3d.cluster import inspect_cluster, parse_spec, serve_cluster, stop_cluster
from napari_ini3d.cluster.status import ClusterStatus, WorkerReport, WorkerStatus, _judge
from napari_ini3d.cluster.versions import package_versions
from napari_ini3d.errors import ClusterError, SettingsError


def invoke(*words):
    return CliRunner().invoke(app, ["cluster", *map(str, words)])


def ends(pid: int) -> bool:
    for _ in range(100):
        try:
            os.waitpid(pid, os.WNOHANG)
            os.kill(pid, 0)
        except (ProcessLookupError, ChildProcessError):
            return True
        time.sleep(0.1)
    return False


def test_a_cluster_in_the_background_is_looked_at_and_stopped(tmp_path):
    path = tmp_path / "scheduler.json"
    started = invoke("start", "local:1", "--scheduler-file", path, "--threads", 1, "--detach")
    assert started.exit_code == 0, started.output
    pid = int(started.stdout.split("process ")[1].split(";")[0])
    try:
        again = invoke("start", "local:1", "--scheduler-file", path, "--detach")
        assert "exists; stop that cluster" in again.stderr
        status = invoke("status", path, "--json")
        assert status.exit_code == 0, status.output
        found = json.loads(status.stdout)
        assert found["event"] == "cluster"
        (worker,) = found["workers"]
        assert worker["threads"] == found["threads"] == 1
        assert worker["memory_bytes"] > worker["free_bytes"] > 0
        assert worker["versions"] == package_versions()
    finally:
        stopped = invoke("stop", path)
    assert stopped.exit_code == 0, stopped.output
    assert ends(pid)
    assert not path.exists()


@pytest.mark.slow
def test_a_scheduler_that_dask_started_is_stopped_too(tmp_path):
    path = tmp_path / "scheduler.json"
    words = [sys.executable, "-m", "distributed.cli.dask_scheduler", "--host", "127.0.0.1"]
    words += ["--port", "0", "--dashboard-address", ":0", "--scheduler-file", str(path)]
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while not path.exists():
            assert process.poll() is None
            time.sleep(0.1)
        found = inspect_cluster(parse_spec(str(path)), 1)
        assert found.problems == (
            "the cluster has no workers yet; start some, or wait until their jobs begin",
        )
        stop_cluster(parse_spec(str(path)))
        assert process.wait(timeout=30) == 0
    finally:
        process.kill()
        process.wait()


def test_workers_say_which_files_they_do_not_see(tmp_path):
    (tmp_path / "seen.mrcs").touch()
    absent = tmp_path / "absent.mrcs"
    found = inspect_cluster(parse_spec("local:1"), 1, [tmp_path / "seen.mrcs", absent])
    (worker,) = found.workers
    assert worker.report.missing == (str(absent),)
    assert f"it does not see {absent}; mount the disk" in found.problems[0]


REPORT = WorkerReport(8, 4, "", package_versions(), ())


def worker(report, problems=()):
    return WorkerStatus(
        address="tcp://a:1", host="a", threads=2, report=report, problems=tuple(problems)
    )


def test_other_packages_and_many_missing_stacks_are_problems():
    other = replace(REPORT, versions=REPORT.versions | {"numba": "0.1"}, missing=tuple("abcde"))
    first, second = _judge(other)
    assert first.startswith("numba 0.1 instead of ")
    assert "a, b, c and 2 more" in second
    assert _judge(REPORT) == ()


def test_workers_with_and_without_a_gpu_are_a_problem_and_one_host_says_a_thing_once():
    both = ClusterStatus(
        address="", dashboard="", workers=(worker(REPORT), worker(replace(REPORT, gpu="0")))
    )
    assert "some workers have a GPU and others none" in both.problems[0]
    twice = ClusterStatus(address="", dashboard="", workers=(worker(REPORT, ["x; y"]),) * 2)
    assert twice.problems == ("a: x; y",)


def test_only_a_cluster_that_does_not_run_is_started_and_only_one_that_runs_is_stopped(tmp_path):
    nothing = {"stop": lambda: True, "on_start": lambda _: None}
    with pytest.raises(SettingsError, match="runs already; choose local:4"):
        serve_cluster(parse_spec("tcp://a:1"), 1, tmp_path / "s.json", **nothing)
    (tmp_path / "s.json").touch()
    with pytest.raises(SettingsError, match="exists; stop that cluster"):
        serve_cluster(parse_spec("local:1"), 1, tmp_path / "s.json", **nothing)
    with pytest.raises(SettingsError, match="ends with its run; give an address"):
        stop_cluster(parse_spec("local:1"))


def test_a_scheduler_that_is_not_there_is_said(monkeypatch):
    from napari_ini3d.cluster import connection

    monkeypatch.setattr(connection, "_PATIENCE", 0.5)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{free.getsockname()[1]}"
    with pytest.raises(ClusterError, match=r"does not answer .*; check its address"):
        inspect_cluster(parse_spec(address), 1)


def test_what_keeps_a_background_cluster_from_starting_is_said_and_its_log_is_appended(tmp_path):
    path, log = tmp_path / "s.json", tmp_path / "s.log"
    log.write_text("of an earlier one\n", encoding="utf-8")
    result = invoke("start", Path("absent.json"), "--scheduler-file", path, "--detach")
    assert result.exit_code == 1
    assert "has not started" in result.stderr
    assert "there is no file" in result.stderr
    assert "of an earlier one" not in result.stderr
    assert log.read_text(encoding="utf-8").startswith("of an earlier one\n")
