"""Follow a run that another process computes, also on another machine with the same disk.

usage: python follow_run.py RUN_FOLDER
"""

import sys
import time
from pathlib import Path

from napari_ini3d.runs import LINE_HEADER, RunFollower, format_line

follower = RunFollower(Path(sys.argv[1]))
print(LINE_HEADER)
shown = 0
while True:
    going_on = follower.is_going_on  # asked first, so that no last line is missed
    if follower.read_progress():
        shown = min(shown, len(follower.summaries))  # the run may have gone back
        for summary in follower.summaries[shown:]:
            print(format_line(summary))
        shown = len(follower.summaries)
    if not going_on:
        break
    time.sleep(1.0)
print(f"The run has ended: {follower.outcome() or 'killed'}")
