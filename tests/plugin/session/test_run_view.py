import math
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("napari")

from fake_runs import make_assignments, make_report

from napari_ini3d.plugin.session.run_view import (
    NO_RUN,
    RunView,
    describe_iteration,
    describe_run,
    describe_trend,
    phase_spans,
)
from napari_ini3d.runs.folder import RunFolder
from napari_ini3d.runs.summary import IterationSummary


def summaries_of(resolutions, **changes):
    """One iteration for each resolution of a single class, out of 100."""
    return tuple(
        IterationSummary.from_report(
            make_report(number + 1, 100, resolution=np.array([value]), **changes)
        )
        for number, value in enumerate(resolutions)
    )


def view_of(summaries, **changes):
    return RunView(folder=Path("/runs/one"), summaries=tuple(summaries), **changes)


def test_without_a_run_the_sentence_says_how_to_get_one():
    assert describe_run(RunView()) == NO_RUN


def test_an_improving_run_is_described_with_its_gain():
    values = [30.0] * 5 + list(np.linspace(19.0, 18.4, 11))
    assert (
        describe_run(view_of(summaries_of(values), state="running"))
        == "Improving: 18.4 Å (FSC 0.5), 0.6 Å better in the last 10 iterations."
    )


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([18.4], "18.4 Å (FSC 0.5) at iteration 1."),
        ([20.0, 18.0], "Improving: 18.0 Å (FSC 0.5), 2.0 Å better in the last iteration."),
        ([18.0, 18.0, 18.1], "Steady: 18.1 Å (FSC 0.5), no change in the last 2 iterations."),
        ([18.0, 20.0], "Coarser: 20.0 Å (FSC 0.5), 2.0 Å worse in the last iteration."),
        ([math.nan, 20.0], "20.0 Å (FSC 0.5) at iteration 2."),
        ([20.0, math.nan], "No resolution yet at iteration 2: the half-sets do not agree."),
    ],
)
def test_the_trend_is_described(values, expected):
    assert describe_trend(summaries_of(values)) == expected


def test_the_random_starts_are_not_compared_with_the_search():
    starts = summaries_of([40.0] * 3, phase="starts", message="2 random starts; start 1 leads")
    assert describe_trend(starts) == "2 random starts; start 1 leads: 40.0 Å (FSC 0.5)."
    assert describe_trend([*starts, *summaries_of([20.0])]) == "20.0 Å (FSC 0.5) at iteration 1."


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"state": "paused"}, "Paused at iteration 2: 9.0 Å (FSC 0.5)."),
        ({"state": "stopping"}, "Stopping after the current iteration: 9.0 Å (FSC 0.5) at "
                                "iteration 2."),
        ({"outcome": "ABORTED"}, "Stopped at iteration 2: 9.0 Å (FSC 0.5). The run can be "
                                 "resumed."),
        ({"outcome": "FAILURE"}, "⚠ Failed after iteration 2: 9.0 Å (FSC 0.5); see log.txt. "
                                 "The run can be resumed."),
        ({"outcome": None}, "Running elsewhere, or killed. Improving: 9.0 Å (FSC 0.5), 3.0 Å "
                            "better in the last iteration."),
        ({"error": MemoryError()}, "⚠ Failed after iteration 2: out of memory; use a smaller "
                                   "box, fewer classes or fewer threads, or raise a limit of "
                                   "memory (ulimit -v, or that of the job)"),
    ],
)  # fmt: skip
def test_the_state_of_a_run_is_described(changes, expected):
    assert describe_run(view_of(summaries_of([12.0, 9.0]), **changes)) == expected


def test_a_converged_run_is_described_with_iteration_and_resolution():
    summaries = summaries_of([12.0, 8.2], converged=True)
    assert (
        describe_run(view_of(summaries, outcome="SUCCESS"))
        == "Converged at iteration 2: 8.2 Å (FSC 0.5)."
    )


def test_a_run_that_used_up_its_iterations_is_not_called_converged():
    last = IterationSummary.from_report(make_report(20, 20, resolution=np.array([9.0])))
    assert (
        describe_run(view_of([last], outcome="SUCCESS"))
        == "All 20 iterations done: 9.0 Å (FSC 0.5)."
    )


def test_classes_are_described_by_size_and_resolution():
    report = make_report(
        5, classes=3, resolution=np.array([9.0, 12.0, math.nan]),
        class_shares=np.array([0.3, 0.695, 0.005]),
    )  # fmt: skip
    text = describe_run(view_of([IterationSummary.from_report(report)], state="running"))
    assert (
        "Class 1 has the highest resolution; class 2 is the largest, with 70 % of the subset."
        in text
    )
    assert text.endswith("Nearly empty: class 3.")


def test_junk_is_described_at_the_end_of_a_run_and_for_each_iteration():
    junk = make_assignments(2, junk=[0.28, 0.0])
    running, done = (summaries_of([9.0], assignments=junk, converged=c) for c in (False, True))
    assert "14 %" not in describe_run(view_of(running, state="running"))
    assert describe_run(view_of(done, outcome="SUCCESS")) == (
        "Converged at iteration 1: 9.0 Å (FSC 0.5). 14 % of the images show no particle like that "
        "of the map; ini3d select leaves them out."
    )
    assert " · junk 14 % · " in describe_iteration(running[0])


def test_a_folder_without_progress_is_reported(tmp_path):
    assert "has no progress.jsonl" in describe_run(RunView(folder=tmp_path))


def test_a_run_before_its_first_iteration_is_described_as_started(tmp_path):
    assert describe_run(RunView(folder=tmp_path, state="running")).startswith("Started")


def test_phases_follow_each_other_without_gap():
    summaries = [
        *summaries_of([9.0] * 3, phase="starts"),
        *(s for s in summaries_of([9.0] * 5, phase="search") if s.iteration > 3),
    ]
    assert phase_spans(summaries) == [("starts", 0.5, 3.5), ("search", 3.5, 5.5)]


def test_an_iteration_is_described_by_its_values():
    report = make_report(5, classes=2, resolution=np.array([9.04, math.nan]))
    text = describe_iteration(IterationSummary.from_report(report))
    assert text.startswith(
        "Iteration 5, search · 9.0 / – Å (FSC 0.5) · change 0.1 / 0.1 · Pmax 0.33"
    )
    assert "shares 67 / 33 %" in text


def test_the_shown_iteration_is_the_nearest_to_the_chosen_one():
    summaries = summaries_of([9.0] * 3)
    assert view_of(summaries).shown.iteration == 3
    assert view_of(summaries, chosen=2).shown.iteration == 2
    assert view_of(summaries, chosen=17).shown.iteration == 3
    assert RunView().shown is None


def test_truncated_pictures_are_ignored(tmp_path):
    folder = RunFolder(tmp_path)
    folder.pictures_path.mkdir()
    view = RunView(folder=tmp_path, summaries=summaries_of([9.0]))
    assert view.read_pictures() == {}
    images = np.zeros((1, 3, 4, 4))
    arrays = {"slices": images, "projections": images, "view_counts": np.ones((1, 12))}
    folder.write_pictures(1, arrays)
    assert view.read_pictures()["slices"].shape == (1, 3, 4, 4)
    path = folder.pictures_path / "it001.npz"
    path.write_bytes(b"")
    assert view.read_pictures() == {}
