from .euler import euler_to_matrix as euler_to_matrix, matrix_to_euler as matrix_to_euler
from .gauss_newton import climb as climb
from .healpix import (
    count_directions as count_directions,
    nearest_pixels as nearest_pixels,
    pixel_directions as pixel_directions,
)
from .point_groups import (
    Axis as Axis,
    PointGroup as PointGroup,
    product_table as product_table,
    symmetry_axes as symmetry_axes,
    symmetry_operators as symmetry_operators,
)
from .poses import (
    expand_angles as expand_angles,
    flip_angles as flip_angles,
    fold_angles as fold_angles,
    rotate_poses as rotate_poses,
)
from .rigid import RigidTransform as RigidTransform
from .sampling import (
    CHILDREN as CHILDREN,
    RotationGrid as RotationGrid,
    angular_step as angular_step,
    grids_of_unit as grids_of_unit,
    order_of_step as order_of_step,
    random_rotation as random_rotation,
    rotation_grid as rotation_grid,
    rotations_of_unit as rotations_of_unit,
    shift_grid as shift_grid,
    uniform_rotations as uniform_rotations,
)
