"""The bar of a run in napari's Activity dock; without a window it is the same object."""

import re

import pytest

pytest.importorskip("napari")

from napari.utils import progress

from napari_ini3d.plugin.session import activity as module
from napari_ini3d.plugin.session.activity import Activity


@pytest.fixture
def bars(monkeypatch):
    """All bars that are made."""
    made = []

    class Kept(progress):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            made.append(self)

    monkeypatch.setattr(module, "progress", Kept)
    yield made
    for bar in made:
        assert bar.disable, "not closed"


def test_a_bar_has_no_end_before_the_first_iteration(bars):
    activity = Activity()
    activity.begin("run")
    assert [bar.total for bar in bars] == [0]
    assert activity.shown
    activity.end()
    assert not activity.shown


def test_value_and_end_of_a_bar_are_the_iteration_and_the_expected_end(bars):
    activity = Activity()
    activity.begin("run")
    for done, expected in ((1, 20), (4, 20), (5, 12)):
        activity.move(done, expected)
        assert (bars[-1].n, bars[-1].total, bars[-1].desc) == (done, expected, "run")
    assert len(bars) == 2
    activity.end()


def test_the_remaining_time_ignores_iterations_before_a_resume(bars):
    """The run was resumed at iteration 40."""
    activity = Activity()
    activity.begin("run")
    activity.move(40, 50)
    bars[-1].start_t -= 10.0  # seconds
    bars[-1].last_print_t -= 10.0
    activity.move(45, 50)
    assert re.search(r"45/50 \[00:1\d<00:(09|10|11),", str(bars[-1]))
    activity.end()


def test_a_bar_that_napari_has_closed_is_replaced(bars):
    activity = Activity()
    activity.begin("run")
    activity.move(1, 20)
    bars[-1].close()  # as with the window of another viewer
    activity.move(2, 20)
    assert not bars[-1].disable
    assert bars[-1].n == 2
    activity.end()


def test_a_run_that_ends_while_its_bar_is_drawn_leaves_none(bars, monkeypatch):
    activity = Activity()
    activity.begin("run")
    make = module._make_bar

    def make_slowly(*args):
        bar = make(*args)
        activity.end()
        return bar

    monkeypatch.setattr(module, "_make_bar", make_slowly)
    activity.move(1, 20)
    assert not activity.shown


def test_after_the_end_nothing_moves(bars):
    activity = Activity()
    activity.begin("run")
    activity.end()
    activity.move(3, 20)
    assert len(bars) == 1


def test_without_a_window_nothing_is_printed(bars, capfd):
    activity = Activity()
    activity.begin("run")
    activity.move(1, 20)
    activity.end()
    assert capfd.readouterr() == ("", "")
