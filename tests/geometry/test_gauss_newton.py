from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest

from napari_ini3d.geometry.gauss_newton import climb

TOP = np.array([1.0, -2.0])


@dataclass(frozen=True)
class Hill:
    """A state on exp(-|x - TOP|² / 2), whose steps are too long by a factor."""

    place: np.ndarray
    factor: float = 1.0
    log: tuple[float, ...] = ()

    @property
    def score(self) -> float:
        return float(np.exp(-((self.place - TOP) ** 2).sum() / 2))

    def step(self) -> np.ndarray:
        return self.factor * (TOP - self.place)

    def moved(self, step: np.ndarray) -> Hill:
        return replace(self, place=self.place + step, log=(*self.log, self.score))


def climbed(start: Hill, **changes) -> Hill:
    options = {"most_steps": 40, "smallest_step": 1e-6, "smallest_gain": 1e-12} | changes
    return climb(start, **options)


@pytest.mark.parametrize("factor", [0.5, 1.0, 1.5])
def test_the_top_is_reached(factor):
    found = climbed(Hill(np.zeros(2), factor))
    np.testing.assert_allclose(found.place, TOP, atol=1e-4)


@pytest.mark.parametrize("factor", [2.1, 3.9, 7.0])
def test_a_step_that_leads_down_is_halved_until_it_leads_up(factor):
    found = climbed(Hill(np.zeros(2), factor), most_steps=1)
    assert found.score > Hill(np.zeros(2)).score
    assert len(found.log) == 1


def test_a_step_that_leads_nowhere_ends_the_climb_at_the_start():
    start = Hill(np.zeros(2), factor=-1.0)
    assert climbed(start) is start


def test_no_more_steps_are_taken_than_asked_for():
    assert len(climbed(Hill(np.zeros(2), 0.1), most_steps=3).log) == 3


def test_a_small_step_is_not_taken():
    start = Hill(TOP - 0.01)
    assert climbed(start, smallest_step=0.1) is start


def test_a_small_gain_is_the_last():
    assert len(climbed(Hill(np.zeros(2), 0.1), smallest_gain=1.0).log) == 1


def test_a_step_of_nan_ends_the_climb():
    start = Hill(np.zeros(2), factor=np.nan)
    assert climbed(start) is start
