"""Display of a run: what follows the last iteration is shown, in the way that was asked for."""

import json
import math

from fake_runs import make_report

from napari_ini3d.cli.display import RunDisplay
from napari_ini3d.engine import ClosingStep

STEPS = [
    *(ClosingStep("half-set 1", i, 8, 20.0 - i if i else math.nan) for i in range(4)),
    *(ClosingStep("repeated search", i, 100, 30.0 if i else math.nan) for i in range(31)),
    ClosingStep("symmetry"),
    ClosingStep("report"),
]


def show(mode):
    """Show a run of one iteration and what follows it."""
    display = RunDisplay(mode)

    def run():
        yield make_report(1, 4)
        for step in STEPS:
            display.show_step(step)

    return display.follow(run())


def test_each_stage_is_announced_and_about_ten_of_its_iterations_are_printed(capsys):
    assert show("lines").iteration == 1
    lines = capsys.readouterr().out.splitlines()[2:]  # after the head and the iteration
    assert lines == [
        "Refining half-set 1 of 2 independently (at most 8 iterations)",
        *(f"  half-set 1, iteration {i} of at most 8: {20 - i:.1f} Å (FSC 0.5)" for i in (1, 2, 3)),
        "Repeating the search from other random maps (at most 100 iterations)",
        *(
            f"  repeated search, iteration {i} of at most 100: 30.0 Å (FSC 0.5)"
            for i in (10, 20, 30)
        ),
        "Testing the symmetry of the map",
        "Writing the report",
    ]


def test_with_json_each_step_is_one_object(capsys):
    show("json")
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [event["event"] for event in events] == ["iteration"] + ["closing"] * len(STEPS)
    values = {"stage": "half-set 1", "n_iterations": 8}
    assert events[1] == {"event": "closing", **values, "iteration": 0, "resolution": None}
    assert events[2] == {"event": "closing", **values, "iteration": 1, "resolution": 19.0}


def test_quiet_shows_no_step(capsys):
    assert show("quiet").iteration == 1
    assert capsys.readouterr().out == ""


def test_a_resumed_run_may_begin_with_its_validation(capsys):
    RunDisplay("lines").show_step(STEPS[0])
    assert capsys.readouterr().out.startswith("Refining half-set 1")
