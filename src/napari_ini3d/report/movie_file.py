"""Files of movies: GIF by Pillow, MP4 by FFmpeg."""

from __future__ import annotations

import importlib.util
from contextlib import suppress
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from napari_ini3d._types import AnyArray
from napari_ini3d.errors import InputError
from napari_ini3d.io import atomic_path
from napari_ini3d.report.caption_lines import SEPARATOR, break_caption

MOVIES = (".mp4", ".gif")

_COLOURS = 96  # of a frame of a GIF
_HOLD = 1.5  # seconds for which the last frame stays
_LINE_HEIGHT = 1.3  # of the size of the font
_FONT_SHARE = 1 / 28  # of the height


def check_movie_path(path: Path) -> None:
    """Refuse a file that cannot be written as a movie.

    Raises
    ------
    InputError
        If its name has another ending, or FFmpeg is missing.
    """
    if path.suffix.lower() not in MOVIES:
        raise InputError(
            f"{path.name} is no movie; expected a name that ends with {' or '.join(MOVIES)}"
        )
    if path.suffix.lower() == ".mp4" and importlib.util.find_spec("imageio_ffmpeg") is None:
        raise InputError(
            f"{path.name}: MP4 needs FFmpeg, which is not installed; install it by `pip install "
            "imageio-ffmpeg`, or choose a name that ends with .gif"
        )


def write_caption(frame: AnyArray, text: str) -> AnyArray:
    """Return a frame (h, w, 3) with a text in its lower left corner; it breaks at its dots."""
    picture = Image.fromarray(np.ascontiguousarray(frame))
    size = max(12, round(picture.height * _FONT_SHARE))
    path = Path(mpl.get_data_path()) / "fonts/ttf/DejaVuSans.ttf"
    parts, room = text.split(SEPARATOR), picture.width - 2 * size
    longest = max(map(ImageFont.truetype(path, size).getlength, parts))
    font = ImageFont.truetype(path, size * min(1.0, room / max(longest, 1)))
    lines = break_caption(text, lambda line: font.getlength(line) <= room)
    for number, line in enumerate(reversed(lines)):
        place = (size, picture.height - (2 + _LINE_HEIGHT * number) * size)
        ImageDraw.Draw(picture).text(
            place, line, fill=(230, 230, 230), font=font, stroke_width=2, stroke_fill=(0, 0, 0)
        )
    return np.asarray(picture)


class MovieFile:
    """A movie that is written frame by frame, completely or not at all.

    Parameters
    ----------
    path : Path
        Ends with .mp4 or .gif.
    fps : float
        Frames per second.

    Raises
    ------
    InputError
        As `check_movie_path`.
    RunFolderError
        If it cannot be written.
    """

    def __init__(self, path: Path, fps: float) -> None:
        check_movie_path(path)
        self._fps = fps
        self._target = atomic_path(path)
        self._path = self._target.__enter__()
        self._small: list[Image.Image] = []
        self._writer: Any = None
        self._last: AnyArray | None = None
        self._is_gif = path.suffix.lower() == ".gif"

    def add(self, frame: AnyArray) -> None:
        """Add a frame (h, w, 3) uint8, of the same size as the first.

        Raises
        ------
        InputError
            If it has another size.
        """
        height, width = (side - side % 2 for side in frame.shape[:2])  # H.264 needs even sides
        even = frame[:height, :width]
        if self._last is not None and even.shape != self._last.shape:
            raise InputError(
                "the size of the window has changed during the recording; record the movie again"
            )
        self._last = even
        if self._is_gif:
            whole = Image.fromarray(np.ascontiguousarray(self._last))
            self._small.append(whole.quantize(_COLOURS, dither=Image.Dither.NONE))
            return
        if self._writer is None:
            import imageio.v2 as imageio

            options: dict[str, Any] = {"fps": self._fps, "quality": 8, "macro_block_size": 2}
            self._writer = imageio.get_writer(self._path, format="FFMPEG", **options)
        self._writer.append_data(self._last)

    def finish(self) -> None:
        """Write the end of the movie, where the last frame stays for a while."""
        last = self._last
        if last is not None:
            for _ in range(round(_HOLD * self._fps)):
                self.add(last)
        if self._writer is not None:
            self._writer.close()
        elif self._small:
            first, *others = self._small
            duration = 1000 / self._fps
            first.save(self._path, save_all=True, append_images=others, duration=duration, loop=0)
        self._target.__exit__(None, None, None)

    def abandon(self) -> None:
        """Delete what was written."""
        if self._writer is not None:
            with suppress(OSError):  # FFmpeg may have ended already
                self._writer.close()
        reason = InputError("the movie is not written")
        with suppress(InputError):
            self._target.__exit__(type(reason), reason, None)
