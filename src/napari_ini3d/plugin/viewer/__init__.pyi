from .axes_layers import (
    LINE_PARTS as LINE_PARTS,
    axes_lines as axes_lines,
    has_symmetry_axes as has_symmetry_axes,
    hide_parts as hide_parts,
    particle_radius as particle_radius,
    parts_of as parts_of,
    show_frame as show_frame,
    show_subunits as show_subunits,
    show_symmetry_axes as show_symmetry_axes,
)
from .axes_mesh import (
    FRAME_COLOURS as FRAME_COLOURS,
    LETTER_REACH as LETTER_REACH,
    difference_colour as difference_colour,
    order_colour as order_colour,
)
from .background_opening import (
    BackgroundOpening as BackgroundOpening,
    is_in_event_loop as is_in_event_loop,
    open_in_background as open_in_background,
    placeholder_layer as placeholder_layer,
)
from .caption import (
    Caption as Caption,
    caption_of as caption_of,
)
from .class_cells import ClassCaption as ClassCaption, ClassCells as ClassCells
from .colours import hex_colour as hex_colour
from .connections import (
    PerViewer as PerViewer,
    connect_to_layers as connect_to_layers,
    connect_to_viewer as connect_to_viewer,
    unwrap_proxy as unwrap_proxy,
)
from .dependent_layers import (
    after_removal as after_removal,
    remove_dependent as remove_dependent,
)
from .derived_maps import (
    add_derived_map as add_derived_map,
    is_map_of_file as is_map_of_file,
    short_name_of as short_name_of,
)
from .docking import (
    FittingWidget as FittingWidget,
    is_dock_hidden as is_dock_hidden,
    main_window_of as main_window_of,
    open_dock as open_dock,
)
from .file_names import with_ending as with_ending
from .grid_cells import (
    grid_shape as grid_shape,
    move_to_front as move_to_front,
    pad_cells as pad_cells,
    with_mesh as with_mesh,
)
from .half_maps import RunHalves as RunHalves, find_halves as find_halves
from .hidden_sliders import HiddenSliders as HiddenSliders
from .layer_combo import LayerCombo as LayerCombo
from .layer_transform import (
    Origin as Origin,
    base_affine as base_affine,
    end_trial as end_trial,
    is_map_layer as is_map_layer,
    origin_of as origin_of,
    place_trial as place_trial,
    rebase_trial as rebase_trial,
    scene_from_map as scene_from_map,
    transform_by_hand as transform_by_hand,
    trial_of as trial_of,
    try_motion as try_motion,
    voxel_size_of as voxel_size_of,
)
from .map_axes import (
    AxesStatus as AxesStatus,
    MapAxes as MapAxes,
    broken_subunits as broken_subunits,
    record_axes as record_axes,
    recorded_axes as recorded_axes,
)
from .map_layers import (
    add_layers as add_layers,
    centre_camera as centre_camera,
    find_layer as find_layer,
    prepare_for_opened_maps as prepare_for_opened_maps,
    show_iteration as show_iteration,
    show_map as show_map,
    shown_iteration as shown_iteration,
)
from .map_level import (
    level_in_sigma as level_in_sigma,
    set_level_in_sigma as set_level_in_sigma,
    standard_deviation as standard_deviation,
)
from .map_meshes import MapMeshes as MapMeshes, mesh_of as mesh_of
from .map_results import MapResults as MapResults, MapToken as MapToken
from .map_surface import (
    PROTEIN_VOLUME as PROTEIN_VOLUME,
    enclosed_mass as enclosed_mass,
    find_surface as find_surface,
)
from .mask_circle import MaskCircle as MaskCircle
from .mesh_layers import MapMesh as MapMesh, mesh_data as mesh_data
from .meshes import join_meshes as join_meshes
from .metadata import (
    get_metadata as get_metadata,
    layer_metadata as layer_metadata,
    set_metadata as set_metadata,
)
from .plot_style import (
    RESOLUTIONS as RESOLUTIONS,
    ChosenTicks as ChosenTicks,
    PlotStyle as PlotStyle,
    fix_plot as fix_plot,
    frequency_position as frequency_position,
    log_position as log_position,
    readable as readable,
    small_font as small_font,
    style_plot as style_plot,
)
from .preference import read_preference as read_preference
from .prepared_mesh import MeshRequest as MeshRequest, PreparedMesh as PreparedMesh
from .screen import screen_directions as screen_directions
from .shown_volume import shown_volume as shown_volume
from .surface_colours import (
    BY_AGREEMENT as BY_AGREEMENT,
    COLOURINGS as COLOURINGS,
    Colouring as Colouring,
)
from .task_dock import (
    TaskDock as TaskDock,
    WrappedLabel as WrappedLabel,
    make_flow as make_flow,
    make_labelled as make_labelled,
    make_scrollable as make_scrollable,
    make_tabs as make_tabs,
    make_text_label as make_text_label,
    set_tooltip as set_tooltip,
)
from .task_runner import Task as Task, TaskRunner as TaskRunner, allow_threads as allow_threads
