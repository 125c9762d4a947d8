from .compare import MapComparison as MapComparison, compare_maps as compare_maps
from .describe import (
    MapGrid as MapGrid,
    check_same_grid as check_same_grid,
    describe_comparison as describe_comparison,
    describe_poses as describe_poses,
)
from .half_maps import HalfMapFSC as HalfMapFSC, half_map_fsc as half_map_fsc
from .poses import PoseComparison as PoseComparison, compare_poses as compare_poses
from .register import (
    Registration as Registration,
    check_pair as check_pair,
    register_maps as register_maps,
)
