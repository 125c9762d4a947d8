from .difference import DIFFERENCE_COLOURS as DIFFERENCE_COLOURS, Difference as Difference
from .fsc_plot import FscPlot as FscPlot
from .run_comparison import compare_layers as compare_layers, compare_runs as compare_runs
from .side_by_side import (
    IMPOSED_COLOUR as IMPOSED_COLOUR,
    SideBySide as SideBySide,
    show_symmetry_of_run as show_symmetry_of_run,
)
from .slices import SlicedMap as SlicedMap, SlicesView as SlicesView
