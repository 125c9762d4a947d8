import itertools

import pytest

pytest.importorskip("napari")

from napari_ini3d.plugin.layers import CLASS_COLOURS
from napari_ini3d.plugin.viewer.plot_style import (
    RESOLUTIONS,
    ChosenTicks,
    PlotStyle,
    contrast,
    frequency_position,
    log_position,
    readable,
)

THEMES = ("dark", "light")


def test_contrast_is_that_of_wcag():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)  # WCAG's own example


@pytest.mark.parametrize("theme", THEMES)
def test_every_line_has_contrast_to_the_background(theme):
    style = PlotStyle.of_theme(theme)
    for k in range(len(CLASS_COLOURS)):
        assert contrast(style.class_colour(k, 7), style.background) >= 3
    assert contrast(style.mark, style.background) >= 3
    assert contrast(style.faint, style.background) >= 3
    assert contrast(style.text, style.background) >= 7


def test_dark_and_light_themes_are_distinguished():
    assert PlotStyle.of_theme("dark").dark
    assert not PlotStyle.of_theme("light").dark


@pytest.mark.parametrize("theme", THEMES)
def test_later_iterations_have_more_contrast(theme):
    style = PlotStyle.of_theme(theme)
    colours = ["#{:02x}{:02x}{:02x}".format(*c) for c in style.iteration_colours(8)]
    contrasts = [contrast(colour, style.background) for colour in colours]
    assert contrasts == sorted(contrasts)
    assert contrasts[-1] >= 7


def test_a_readable_colour_is_kept():
    assert readable("#56b4e9", "#23242b") == "#56b4e9"


def test_neighbouring_classes_differ_without_colour():
    style = PlotStyle.of_theme("dark")
    dashes = [style.class_pen(k, 4).style() for k in range(4)]
    assert len(set(dashes)) == 4


def test_labels_are_at_the_positions_of_their_values(qapp):
    axis = ChosenTicks("bottom", RESOLUTIONS, frequency_position)
    ((_, places),) = axis.tickValues(0, 0.125, 400)
    labels = axis.tickStrings(places, 1, 1)
    assert "10" in labels
    assert [1 / place for place in places] == pytest.approx([float(label) for label in labels])
    assert min(b - a for a, b in itertools.pairwise(places)) * 400 / 0.125 >= 28


def test_a_value_without_logarithm_has_no_position():
    assert log_position(0.0) != log_position(0.0)
    assert log_position(100.0) == 2
