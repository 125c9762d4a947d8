from .batch_page import (
    BATCH_COLUMNS as BATCH_COLUMNS,
    batch_cells as batch_cells,
    check_batch_page as check_batch_page,
    write_batch_page as write_batch_page,
)
from .caption_lines import SEPARATOR as SEPARATOR, break_caption as break_caption
from .movie_file import (
    MovieFile as MovieFile,
    check_movie_path as check_movie_path,
    write_caption as write_caption,
)
from .page import choose_iterations as choose_iterations
from .page_file import write_report as write_report
from .pdf import write_pdf as write_pdf
from .run_figures import (
    draw_comparison as draw_comparison,
    draw_strip as draw_strip,
    draw_views as draw_views,
    save_png as save_png,
)
from .run_movie import write_run_movie as write_run_movie
from .scene_figure import (
    FORMATS as FORMATS,
    ScenePicture as ScenePicture,
    save_scene_figure as save_scene_figure,
)
from .symmetry_figures import (
    draw_alignment as draw_alignment,
    draw_report as draw_report,
    draw_validation as draw_validation,
)
