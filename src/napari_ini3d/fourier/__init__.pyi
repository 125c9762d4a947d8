from .criteria import MAP_CRITERION as MAP_CRITERION, MAP_FSC as MAP_FSC
from .features import featured_share as featured_share
from .fourier_map import (
    PADDING as PADDING,
    FourierMap as FourierMap,
    components_at as components_at,
    cut_out as cut_out,
)
from .fsc import compute_fsc as compute_fsc, fsc_resolution as fsc_resolution
from .map_checks import MIN_BOX_SIZE as MIN_BOX_SIZE, check_map_values as check_map_values
from .map_contrast import (
    background_level as background_level,
    is_inverted as is_inverted,
    upright_density as upright_density,
)
from .masks import (
    Point as Point,
    radius_grid as radius_grid,
    shell_of_voxels as shell_of_voxels,
    soft_mask as soft_mask,
)
from .nufft import FineMap as FineMap
from .resample import (
    cut_at_nyquist as cut_at_nyquist,
    mirror_map as mirror_map,
    resize_map as resize_map,
    rotate_map as rotate_map,
)
from .shells import (
    radial_average as radial_average,
    shell_index as shell_index,
    shell_sum as shell_sum,
)
from .solvent import solvent_mask as solvent_mask
from .threads import map_in_threads as map_in_threads
from .transforms import (
    FrequencyDisk as FrequencyDisk,
    cube_radius as cube_radius,
    cube_to_map as cube_to_map,
    frequency_disk as frequency_disk,
    gridding_profile as gridding_profile,
    images_to_disk as images_to_disk,
    map_to_cube as map_to_cube,
)
