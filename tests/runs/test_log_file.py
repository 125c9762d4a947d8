import logging
import threading
import time
from pathlib import Path

import pytest

from napari_ini3d.runs.log_file import _open_logs, log_to_file, logged_seconds


def test_runs_in_two_threads_have_separate_logs(tmp_path):
    logger = logging.getLogger("napari_ini3d.engine")
    both_open = threading.Barrier(2, timeout=10)

    def run(name):
        with log_to_file(tmp_path / name):
            both_open.wait()
            logger.info("in %s", name)
            both_open.wait()

    threads = [threading.Thread(target=run, args=(name,)) for name in ("one", "two")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for name in ("one", "two"):
        assert [line.split()[-1] for line in (tmp_path / name).read_text().splitlines()] == [name]


def test_only_messages_of_the_package_while_the_log_is_open_are_written(tmp_path):
    logger = logging.getLogger("napari_ini3d.engine")
    path = tmp_path / "log.txt"
    with log_to_file(path):
        logger.info("inside")
        logging.getLogger("other").warning("other package")
    logger.warning("after")
    with log_to_file(path):
        logger.info("again")
    lines = path.read_text().splitlines()
    assert [line.split()[-1] for line in lines] == ["inside", "again"]


def test_a_log_is_complete_when_a_run_that_began_earlier_ends_first(tmp_path):
    logger = logging.getLogger("napari_ini3d.engine")
    before = logging.getLogger("napari_ini3d").level
    first, second = log_to_file(tmp_path / "first"), log_to_file(tmp_path / "second")
    with first:
        second.__enter__()
    logger.info("still running")
    second.__exit__(None, None, None)
    assert "still running" in (tmp_path / "second").read_text()
    assert logging.getLogger("napari_ini3d").level == before


def test_runs_that_end_in_another_order_leave_nothing_behind_for_later_ones(tmp_path):
    logger, before = logging.getLogger("napari_ini3d.engine"), _open_logs.get()
    first, second = log_to_file(tmp_path / "first"), log_to_file(tmp_path / "second")
    with first:
        second.__enter__()
    second.__exit__(None, None, None)  # the log of the first was taken for the current one
    with log_to_file(tmp_path / "later"):
        logger.info("of the later run")
    logger.info("of no run")
    with log_to_file(tmp_path / "last"):
        logger.info("of the last run")
    assert "of the later run" in (tmp_path / "later").read_text()
    assert "of the last run" in (tmp_path / "last").read_text()
    assert _open_logs.get() == before


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device that is always full")
def test_a_log_on_a_full_disk_prints_no_traceback_and_says_what_is_missing(capfd, caplog):
    logger = logging.getLogger("napari_ini3d.engine")
    with log_to_file(Path("/dev/full")):
        logger.info("lost")
        logger.error("lost, too")
    assert capfd.readouterr().err == ""
    assert "/dev/full: 2 messages could not be written; check the disk" in caplog.text


@pytest.mark.skipif(not hasattr(time, "tzset"), reason="the time zone cannot be set here")
def test_the_change_to_summer_time_adds_no_hour_to_a_run(tmp_path, monkeypatch):
    path = tmp_path / "log.txt"
    path.write_text(
        "2026-03-29 01:59:50 INFO    napari-ini3d 0.2.0\n2026-03-29 03:00:10 INFO    end\n"
    )
    try:
        monkeypatch.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
        time.tzset()
        assert logged_seconds(path) == 20
    finally:
        monkeypatch.undo()
        time.tzset()
