import numpy as np
import pytest
from PIL import Image

from napari_ini3d.errors import InputError
from napari_ini3d.report.scene_figure import ScenePicture, save_scene_figure, scale_bar_length

COLOURS = ("#d55e00", "#009e73", "#56b4e9")


def picture(**changes):
    values = {
        "pixels": np.zeros((300, 400, 3), np.uint8),
        "pixel_size": 0.5,
        "axes": np.eye(3),
        "axis_colours": COLOURS,
    }
    return ScenePicture(**(values | changes))


def as_array(path):
    return np.asarray(Image.open(path).convert("RGB")).astype(int)


def test_the_scale_bar_has_its_length_in_the_picture(tmp_path):
    save_scene_figure(picture(), tmp_path / "a.png")
    pixels = as_array(tmp_path / "a.png")  # 1200 x 900: three pixels for one
    white = (pixels > 200).all(axis=2)
    longest = max(np.count_nonzero(row) for row in white)
    length = scale_bar_length(400 * 0.5)  # Å
    assert longest == pytest.approx(3 * length / 0.5, abs=3)


@pytest.mark.parametrize(("width", "length"), [(200, 20), (230, 50), (1000, 200), (45, 5)])
def test_scale_bars_are_round_and_at_most_a_fifth_of_the_width(width, length):
    assert scale_bar_length(width) == length


def test_the_axes_point_where_they_do_in_the_picture(tmp_path):
    save_scene_figure(picture(), tmp_path / "a.png")
    pixels = as_array(tmp_path / "a.png")
    red, green = (np.array([int(c[i : i + 2], 16) for i in (1, 3, 5)]) for c in COLOURS[:2])
    places = [
        np.argwhere(np.abs(pixels - colour).sum(axis=2) < 30).mean(axis=0)
        for colour in (red, green)
    ]
    centre = np.array([900 - 120, 120])
    assert places[0][1] > centre[1] + 20  # X to the right
    assert places[1][0] < centre[0] - 20  # Y up


def test_a_caption_is_below_the_picture_and_wraps(tmp_path):
    save_scene_figure(picture(), tmp_path / "plain.png")
    save_scene_figure(picture(caption=("short", "long " * 40)), tmp_path / "text.png")
    plain, text = (Image.open(tmp_path / f"{name}.png").size for name in ("plain", "text"))
    assert plain == (1200, 900)
    assert text[0] == 1200
    assert text[1] > 900 + 3 * 40  # four lines


def test_on_a_white_picture_the_scale_bar_is_black(tmp_path):
    white = np.full((300, 400, 3), 255, np.uint8)
    save_scene_figure(picture(pixels=white), tmp_path / "a.png")
    assert (as_array(tmp_path / "a.png") < 50).all(axis=2).any()


def test_svg_has_text_and_says_if_the_scale_holds_at_the_centre_only(tmp_path):
    save_scene_figure(picture(in_perspective=True, caption=("<b> & c",)), tmp_path / "a.svg")
    text = (tmp_path / "a.svg").read_text()
    assert "20 Å at the centre" in text
    assert "&lt;b&gt; &amp; c" in text


def test_other_formats_are_refused(tmp_path):
    with pytest.raises(InputError, match="ends with"):
        save_scene_figure(picture(), tmp_path / "a.pdf")
    assert not list(tmp_path.iterdir())
