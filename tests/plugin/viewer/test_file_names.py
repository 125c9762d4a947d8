from pathlib import Path

from napari_ini3d.plugin.viewer.colours import hex_colour
from napari_ini3d.plugin.viewer.file_names import with_ending


def test_a_name_without_the_ending_gets_it():
    assert with_ending("plot", ".png") == Path("plot.png")
    assert with_ending("/a/run.1", ".star") == Path("/a/run.1.star")
    assert with_ending("plot.png", ".png") == Path("plot.png")


def test_another_ending_can_be_left_to_a_check():
    assert with_ending("movie.avi", ".mp4", keep_others=True) == Path("movie.avi")
    assert with_ending("movie", ".mp4", keep_others=True) == Path("movie.mp4")


def test_a_colour_has_two_digits_for_each_part():
    assert hex_colour((1.0, 0.5, 0.0, 0.3)) == "#ff8000"
