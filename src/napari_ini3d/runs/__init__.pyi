from .catalogue import (
    KILLED as KILLED,
    RUNNING as RUNNING,
    RunEntry as RunEntry,
    describe_outcome as describe_outcome,
    read_entry as read_entry,
)
from .classes import (
    ClassChoice as ClassChoice,
    RunClass as RunClass,
    choose_class as choose_class,
)
from .commands import (
    changed_settings as changed_settings,
    cluster_words as cluster_words,
    flag_of as flag_of,
    join_words as join_words,
    resume_arguments as resume_arguments,
    resume_command as resume_command,
    run_arguments as run_arguments,
    run_command as run_command,
    run_python as run_python,
)
from .export import ExportedRun as ExportedRun, export_run as export_run
from .file_tail import FileTail as FileTail
from .folder import (
    Outcome as Outcome,
    RunFolder as RunFolder,
)
from .follower import RunFollower as RunFollower
from .gallery import (
    GalleryImages as GalleryImages,
    RunParticles as RunParticles,
    read_gallery_images as read_gallery_images,
    read_run_particles as read_run_particles,
)
from .history import (
    forget_history_after as forget_history_after,
    history_iterations as history_iterations,
    read_history as read_history,
    write_history as write_history,
)
from .image_checksums import (
    read_image_checksums as read_image_checksums,
    write_image_checksums as write_image_checksums,
)
from .image_notes import (
    describe_inversion as describe_inversion,
    describe_mended as describe_mended,
    describe_uneven as describe_uneven,
)
from .job_summary import WAITING as WAITING, JobSummary as JobSummary
from .lock import (
    STALE_SECONDS as STALE_SECONDS,
    RunLock as RunLock,
    RunOwner as RunOwner,
    check_unlocked as check_unlocked,
    is_locked as is_locked,
    read_owner as read_owner,
)
from .log_file import (
    FIRST_WORD as FIRST_WORD,
    belongs_to as belongs_to,
    log_to_file as log_to_file,
    logged_seconds as logged_seconds,
)
from .newest_maps import (
    IterationMaps as IterationMaps,
    remove_newest_maps as remove_newest_maps,
    write_newest_maps as write_newest_maps,
)
from .note import NOTE_NAME as NOTE_NAME, read_note as read_note, write_note as write_note
from .read_summaries import read_summaries as read_summaries
from .record import RunRecord as RunRecord
from .relion_folder import JobFiles as JobFiles, find_job_files as find_job_files
from .relion_job import RelionJob as RelionJob
from .removal import (
    adopt_outputs as adopt_outputs,
    delete_run as delete_run,
    run_files as run_files,
)
from .requests import RunRequests as RunRequests
from .results import write_results as write_results, write_validated_model as write_validated_model
from .selection import (
    GroupCount as GroupCount,
    JunkSelection as JunkSelection,
    select_particles as select_particles,
)
from .source_particles import (
    digest_particle_files as digest_particle_files,
    read_source_particles as read_source_particles,
)
from .start_maps import (
    StartMaps as StartMaps,
    read_start_maps as read_start_maps,
    write_start_maps as write_start_maps,
)
from .summary import (
    LINE_HEADER as LINE_HEADER,
    IterationSummary as IterationSummary,
    central_slices as central_slices,
    describe_junk as describe_junk,
    describe_resolution as describe_resolution,
    describe_result as describe_result,
    format_line as format_line,
    make_pictures as make_pictures,
    projections as projections,
)
from .symmetry_files import SymmetryFiles as SymmetryFiles
from .validation_files import (
    ValidationFiles as ValidationFiles,
    describe_verdict as describe_verdict,
)
from .validation_progress import (
    ValidationProgress as ValidationProgress,
    read_validation_progress as read_validation_progress,
    remove_validation_progress as remove_validation_progress,
    write_validation_progress as write_validation_progress,
)
from .window_state import (
    WINDOW_NAME as WINDOW_NAME,
    CameraState as CameraState,
    LayerState as LayerState,
    WindowState as WindowState,
    read_window_state as read_window_state,
    write_window_state as write_window_state,
)
