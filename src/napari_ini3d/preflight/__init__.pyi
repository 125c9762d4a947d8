from .check import (
    CheckReport as CheckReport,
    check_mask as check_mask,
)
from .check_all import ParticleChecks as ParticleChecks, check_particles as check_particles
from .class_averages import settings_for as settings_for
from .estimate import (
    WORKERS as WORKERS,
    RunEstimate as RunEstimate,
    estimate_run as estimate_run,
)
from .findings import Finding as Finding
from .measure import (
    describe_contrast as describe_contrast,
    estimate_mask_diameter as estimate_mask_diameter,
    measure_particles as measure_particles,
)
from .path_names import check_path_name as check_path_name
from .phase_times import PhaseEstimate as PhaseEstimate
from .preview import Preview as Preview, preview_particles as preview_particles
from .resources import estimate_resources as estimate_resources
from .run_time import (
    PlannedWork as PlannedWork,
    expected_end as expected_end,
    plan_work as plan_work,
)
from .selection import Selection as Selection, select_images as select_images
from .summary import (
    check_rows as check_rows,
    describe_bad as describe_bad,
    describe_replaced as describe_replaced,
    describe_time as describe_time,
    estimated_time as estimated_time,
)
from .symmetry_setting import check_symmetry as check_symmetry
from .working_box import (
    PixelGrid as PixelGrid,
    check_box as check_box,
    choose_working_grid as choose_working_grid,
    particle_grid as particle_grid,
)
