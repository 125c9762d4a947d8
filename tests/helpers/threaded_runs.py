"""Runs in threads of the tests in place of processes, so that they have the fake engine.

All else is as in a window: what the thread writes to the run folder is followed.
"""

import threading

from napari_ini3d.jobs.run import resume_run, start_run
from napari_ini3d.plugin.session import session as session_module
from napari_ini3d.plugin.session.run_process import Ending
from napari_ini3d.runs import run_command


class ThreadedRun:
    """A run in a thread, as `RunProcess` asks for it.

    `start` is called with a function that tells whether to stop, and returns the iterations.
    """

    is_own = True

    def __init__(self, start):
        self._start_run = start
        self._stop = threading.Event()
        self._error = None
        self._thread = threading.Thread(target=self._compute, daemon=True)

    def start(self):
        self._thread.start()

    def poll(self):
        return None if self._thread.is_alive() else Ending(self._error)

    def interrupt(self):
        self._stop.set()

    def read_messages(self):
        return []

    def release(self):
        pass

    def _compute(self):
        try:
            for _ in self._start_run(self._stop.is_set):
                pass
        except BaseException as error:
            self._error = error


def start_in_thread(star, output, settings, cluster=""):
    options = {"command": run_command(star, output, settings), "cluster": cluster or None}
    return ThreadedRun(lambda stop: start_run(star, output, settings, stop=stop, **options))


def resume_in_thread(folder, cluster="", **choice):
    return ThreadedRun(
        lambda stop: resume_run(folder, stop=stop, cluster=cluster or None, **choice)
    )


def use_threaded_runs(monkeypatch):
    """Let the sessions of windows start threads instead of processes."""
    monkeypatch.setattr(session_module, "start_process", start_in_thread)
    monkeypatch.setattr(session_module, "resume_process", resume_in_thread)
