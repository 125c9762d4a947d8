"""Gauss-Newton climb to the nearest maximum of a score over rotations and shifts."""

from __future__ import annotations

from typing import Protocol, Self, TypeVar

import numpy as np

from napari_ini3d._types import Float64

_HALVINGS = 3


class ClimbState(Protocol):
    """A place in the space that is searched, with its score."""

    @property
    def score(self) -> float:
        """The score to be maximised."""

    def step(self) -> Float64:
        """Return the step to the maximum, to second order, in units of like effect."""

    def moved(self, step: Float64) -> Self:
        """Return the state after a step."""


State = TypeVar("State", bound=ClimbState)


def climb(start: State, *, most_steps: int, smallest_step: float, smallest_gain: float) -> State:
    """Climb by Gauss-Newton steps; a step that leads down is halved.

    Parameters
    ----------
    start : ClimbState
    most_steps : int
    smallest_step : float
        The climb ends before a step whose largest element is below this.
    smallest_gain : float
        The climb ends after a step that raises the score by less.

    Returns
    -------
    ClimbState
        The last state; its score is not below that of the start.
    """
    now = start
    for _ in range(most_steps):
        step = now.step()
        if not np.abs(step).max() >= smallest_step:  # nor where it is NaN
            break
        for _ in range(_HALVINGS):
            trial = now.moved(step)
            if trial.score > now.score:
                break
            step = step / 2
        else:  # no part of the step leads up
            break
        gain, now = trial.score - now.score, trial
        if gain < smallest_gain:
            break
    return now
