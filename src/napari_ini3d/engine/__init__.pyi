from .images import draw_subset as draw_subset, split_into_tiles as split_into_tiles
from .initial_model import reconstruct as reconstruct
from .iteration import Workshop as Workshop
from .records import IterationReport as IterationReport, Phase as Phase
from .schedule import (
    ImageGeometry as ImageGeometry,
    Phases as Phases,
    Plan as Plan,
    ScheduleInput as ScheduleInput,
    finest_radius as finest_radius,
    plan_iteration as plan_iteration,
)
from .state import EngineState as EngineState
from .tiles import Frame as Frame
