from .closing import CloseGuard as CloseGuard
from .cluster_query import ClusterAnswer as ClusterAnswer, ask_cluster as ask_cluster
from .live_layers import LiveLayers as LiveLayers
from .log_buffer import LINES as LINES, LogLine as LogLine, LogTail as LogTail
from .remaining_time import (
    planned_work as planned_work,
    remaining_seconds as remaining_seconds,
    validation_share as validation_share,
)
from .run_choice import (
    iteration_on_slider as iteration_on_slider,
    layer_of_run as layer_of_run,
    read_run as read_run,
    run_folder_of as run_folder_of,
    run_folders as run_folders,
    run_of_window as run_of_window,
    short_name as short_name,
    show_result as show_result,
    show_run_iteration as show_run_iteration,
    view_of_session as view_of_session,
)
from .run_view import (
    ALL_CLASSES as ALL_CLASSES,
    RunView as RunView,
    describe_iteration as describe_iteration,
    describe_run as describe_run,
    phase_spans as phase_spans,
)
from .session import RunSession as RunSession
from .status import (
    beginning_text as beginning_text,
    is_done as is_done,
    message_of as message_of,
    progress_of_bar as progress_of_bar,
    settings_of as settings_of,
    status_text as status_text,
)
