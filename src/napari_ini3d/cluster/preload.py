"""Preload of local workers: Ctrl-C in the terminal is for the run, not for them."""

from __future__ import annotations

import signal


def dask_setup(_worker: object) -> None:
    """Ignore Ctrl-C: the run finishes its iteration, for which it needs the workers."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
