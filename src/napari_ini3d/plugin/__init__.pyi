from .layers import (
    CLASS_COLOURS as CLASS_COLOURS,
    LENGTH_UNIT as LENGTH_UNIT,
    MAP_AXES as MAP_AXES,
    METADATA_KEY as METADATA_KEY,
    LayerData as LayerData,
    LazyFrames as LazyFrames,
    class_colour as class_colour,
    contour_level as contour_level,
    density_scale as density_scale,
    density_scale_of as density_scale_of,
    frames_by_iteration as frames_by_iteration,
    map_layer as map_layer,
    map_placement as map_placement,
    map_statistics as map_statistics,
    run_layer as run_layer,
    surface_contrast as surface_contrast,
)
from .reader import (
    read_layers as read_layers,
    read_map_layer as read_map_layer,
    read_run_layers as read_run_layers,
)
from .sample_data import is_sample as is_sample
