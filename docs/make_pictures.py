"""Pictures of the documentation: `make_pictures.py RUN_FOLDER [--symmetric RUN]`.

Writes ``docs/images/run.png`` (the map during the run) and ``docs/images/map.png`` (the final map),
and ``docs/images/symmetry.png`` (the detected symmetry) from a run of symmetric particles. Those of
the README are from ``ini3d simulate --output DIR --symmetry D2 --number 1000``.
"""

import argparse
from pathlib import Path

import numpy as np

from napari_ini3d.io import read_map
from napari_ini3d.report import choose_iterations, draw_report, draw_strip, draw_views, save_png
from napari_ini3d.runs import IterationSummary, RunFolder, central_slices, projections
from napari_ini3d.symmetry import detect_symmetry

IMAGES = Path(__file__).parent / "images"


def make_pictures(path: Path) -> None:
    """Draw the map of the largest class of a run."""
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


def make_symmetry_picture(path: Path) -> None:
    """Draw the symmetry that is detected in the result of a run."""
    found = read_map(RunFolder.open(path).map_path)
    report = detect_symmetry(found.data, voxel_size=found.voxel_size)
    save_png(draw_report(report, found.data), IMAGES / "symmetry.png")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path, nargs="?")
    parser.add_argument("--symmetric", type=Path)
    options = parser.parse_args()
    if options.run:
        make_pictures(options.run)
    if options.symmetric:
        make_symmetry_picture(options.symmetric)
