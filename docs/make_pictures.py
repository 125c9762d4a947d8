"""Take the README's pictures from a finished run: `python docs/make_pictures.py RUN_FOLDER`.

Writes ``docs/images/run.png`` (the map along the run) and ``docs/images/map.png`` (the last map).
"""

import sys
from pathlib import Path

import numpy as np

from napari_ini3d.io.maps import read_map
from napari_ini3d.io.progress import IterationSummary, central_slices, projections
from napari_ini3d.io.runs import RunFolder
from napari_ini3d.report import choose_iterations
from napari_ini3d.report_figures import draw_strip, draw_views, save_png

IMAGES = Path(__file__).parent / "images"


def make_pictures(path: Path) -> None:
    """Draw the largest class of a run."""
    folder = RunFolder.open(path)
    summaries = [IterationSummary.from_json(line) for line in folder.read_progress()]
    largest = int(np.argmax(summaries[-1].class_shares))
    columns = {}
    for iteration in choose_iterations([summary.iteration for summary in summaries]):
        pictures = folder.read_pictures(iteration)
        if pictures is not None and largest < len(pictures["slices"]):
            columns[iteration] = (pictures["slices"][largest], pictures["projections"][largest])
    volume = read_map(folder.map_path).data
    IMAGES.mkdir(exist_ok=True)
    save_png(draw_strip(columns), IMAGES / "run.png")
    save_png(draw_views(central_slices(volume), projections(volume)), IMAGES / "map.png")


if __name__ == "__main__":
    make_pictures(Path(sys.argv[1]))
