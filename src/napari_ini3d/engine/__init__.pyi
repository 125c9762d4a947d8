from .chunks import (
    CHUNKS_OF_GROUP as CHUNKS_OF_GROUP,
    MOST_CHUNKS as MOST_CHUNKS,
    Chunk as Chunk,
    ChunkExecutor as ChunkExecutor,
    ChunkResult as ChunkResult,
    GroupSums as GroupSums,
    enough_groups as enough_groups,
    split_into_groups as split_into_groups,
)
from .context import RunContext as RunContext
from .executor import TileExecutor as TileExecutor
from .half_sets import (
    HalfSetMaps as HalfSetMaps,
    SourceSubset as SourceSubset,
    refine_half_sets as refine_half_sets,
)
from .images import draw_subset as draw_subset, split_into_tiles as split_into_tiles
from .initial_model import reconstruct as reconstruct
from .local_chunks import (
    LocalChunks as LocalChunks,
    LocalReferences as LocalReferences,
    planned_tile_images as planned_tile_images,
)
from .memory import Workload as Workload, tile_images as tile_images
from .normalisation import background_planes as background_planes, normalise as normalise
from .records import (
    ClosingStage as ClosingStage,
    ClosingStep as ClosingStep,
    IterationReport as IterationReport,
    ignore_step as ignore_step,
)
from .reference_set import ReferenceSet as ReferenceSet
from .references import prepare_references as prepare_references
from .relaxation.folds import FixedPoses as FixedPoses
from .relaxation.group_likelihood import (
    GroupLikelihood as GroupLikelihood,
    compare_group as compare_group,
)
from .relaxation.relax import Relaxation as Relaxation, relax_symmetry as relax_symmetry
from .repeated_search import (
    can_repeat_search as can_repeat_search,
    repeat_search as repeat_search,
)
from .resolved_settings import (
    ResolvedSettings as ResolvedSettings,
    finest_resolution as finest_resolution,
    resolve_settings as resolve_settings,
)
from .schedule import (
    ImageGeometry as ImageGeometry,
    Phase as Phase,
    Phases as Phases,
    Plan as Plan,
    ScheduleInput as ScheduleInput,
    first_radius as first_radius,
    plan_iteration as plan_iteration,
)
from .state import EngineState as EngineState
from .verdict import (
    Verdict as Verdict,
    fourier_coverage as fourier_coverage,
    judge_run as judge_run,
)
