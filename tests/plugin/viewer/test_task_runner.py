"""Tasks in threads."""

import threading

import pytest
from qtpy.QtCore import QThreadPool

from napari_ini3d.plugin.viewer.task_runner import Task, TaskRunner


@pytest.fixture
def one_thread(qapp):
    """Qt's threads for workers, as on a machine with one core."""
    pool = QThreadPool.globalInstance()
    before = pool.maxThreadCount()
    pool.setMaxThreadCount(1)
    yield
    pool.setMaxThreadCount(before)


def test_a_short_task_does_not_wait_for_a_long_one(qtbot, one_thread):
    go_on, results = threading.Event(), []
    long, short = TaskRunner(), TaskRunner()
    long.start(Task("Long"), lambda _: go_on.wait(30), results.append)
    short.start(Task("Short"), lambda _: "short", results.append)
    qtbot.waitUntil(lambda: results == ["short"], timeout=10_000)
    go_on.set()
    qtbot.waitUntil(lambda: results == ["short", True], timeout=10_000)
