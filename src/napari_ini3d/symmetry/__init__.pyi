from .align import align_symmetry as align_symmetry
from .checks import check_volume as check_volume
from .detect import detect_symmetry as detect_symmetry
from .hand import flip_hand as flip_hand
from .impose import impose_symmetry as impose_symmetry
from .json_values import (
    alignment_values as alignment_values,
    report_values as report_values,
    validation_values as validation_values,
)
from .local_correlation import correlate_locally as correlate_locally
from .particle_extent import find_particle_extent as find_particle_extent
from .records import (
    FoundAxis as FoundAxis,
    GroupCandidate as GroupCandidate,
    SelfRotation as SelfRotation,
    Subunit as Subunit,
    SymmetryAlignment as SymmetryAlignment,
    SymmetryBreak as SymmetryBreak,
    SymmetryReport as SymmetryReport,
    SymmetryValidation as SymmetryValidation,
)
from .refinement import GroupAxes as GroupAxes
from .scores import score_group as score_group
from .search import Search as Search
from .standard_setting import shortest_rotation as shortest_rotation
from .subgroup import (
    remaining_subgroup as remaining_subgroup,
    rotation_to_setting as rotation_to_setting,
)
from .validate import validate_symmetry as validate_symmetry
from .verdict import CLOSE_AGREEMENT as CLOSE_AGREEMENT
