from .array_header import declared_bytes as declared_bytes
from .chimerax import (
    ChimeraLines as ChimeraLines,
    ChimeraMap as ChimeraMap,
    ChimeraView as ChimeraView,
    find_chimerax as find_chimerax,
    format_bild as format_bild,
    format_chimerax as format_chimerax,
    rigid_position as rigid_position,
    safe_name as safe_name,
)
from .class_selection import parse_classes as parse_classes
from .conversion import (
    Conversion as Conversion,
    convert_to_cryosparc as convert_to_cryosparc,
    convert_to_star as convert_to_star,
)
from .download import (
    LICENCE as LICENCE,
    REMOTE_MAPS as REMOTE_MAPS,
    fetch_map as fetch_map,
    find_remote_map as find_remote_map,
)
from .files import (
    atomic_path as atomic_path,
    is_temporary as is_temporary,
    make_temporary_folder as make_temporary_folder,
    nearest_folder as nearest_folder,
    remove_abandoned as remove_abandoned,
    temporary_beside as temporary_beside,
    temporary_folder as temporary_folder,
    time_of_disk as time_of_disk,
    write_error as write_error,
)
from .images.grids import check_scratch_for as check_scratch_for
from .images.kept import bytes_to_keep as bytes_to_keep
from .images.outliers import replace_outliers as replace_outliers
from .images.reader import StackReader as StackReader
from .images.reading_threads import reading_threads as reading_threads
from .images.resample import common_grid as common_grid
from .images.scratch import check_scratch as check_scratch
from .images.stack_checks import inspect_stacks as inspect_stacks
from .mrc.header import HEADER_BYTES as HEADER_BYTES
from .mrc.maps import Map as Map, read_map as read_map, write_map as write_map
from .mrc.prepared import PreparedMap as PreparedMap, prepare_map as prepare_map
from .mrc.stack import (
    ImageStack as ImageStack,
    StackHeader as StackHeader,
    read_stack_header as read_stack_header,
)
from .particles import (
    PARTICLE_ENDINGS as PARTICLE_ENDINGS,
    ParticleFiles as ParticleFiles,
    ParticleSource as ParticleSource,
    is_cryosparc as is_cryosparc,
    is_particle_file as is_particle_file,
    may_have_particles as may_have_particles,
    particle_files as particle_files,
    read_particles as read_particles,
)
from .pose_files import (
    flip_particles as flip_particles,
    read_poses as read_poses,
    rotate_particles as rotate_particles,
)
from .processes import (
    detached_options as detached_options,
    host_name as host_name,
    is_running as is_running,
    machine_identity as machine_identity,
    process_start as process_start,
)
from .star.junk import (
    JunkTable as JunkTable,
    keep_stack_names as keep_stack_names,
    read_junk_table as read_junk_table,
)
from .star.model import (
    ModelTables as ModelTables,
    replace_class_fsc as replace_class_fsc,
    write_model_star as write_model_star,
)
from .star.nodes import (
    NodeKind as NodeKind,
    OutputNode as OutputNode,
    write_output_nodes as write_output_nodes,
)
from .star.particles import (
    ParticleTable as ParticleTable,
    write_data_star as write_data_star,
    write_particle_subset as write_particle_subset,
)
from .star.posed import (
    PosedParticles as PosedParticles,
    read_posed_particles as read_posed_particles,
)
from .star.poses import (
    expand_particles as expand_particles,
    fold_particles as fold_particles,
    replace_angles as replace_angles,
)
from .star.simulated import write_simulated_particles as write_simulated_particles
from .star.tables import has_particles as has_particles
from .yaml_file import read_yaml as read_yaml
