"""Pictures of a map without a window: slices and projections along z, y and x.

usage: python pictures.py map.mrc picture.png
"""

import sys
from pathlib import Path

from napari_ini3d import read_map
from napari_ini3d.report import draw_views, save_png
from napari_ini3d.runs import central_slices, projections

volume = read_map(sys.argv[1]).data
save_png(draw_views(central_slices(volume), projections(volume)), Path(sys.argv[2]))
