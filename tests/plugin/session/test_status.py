import re
from dataclasses import replace

import pytest
from fake_runs import make_report

from napari_ini3d.plugin.session.status import (
    beginning_text,
    expected_end,
    remaining_seconds,
    status_text,
    steps_until_end,
)
from napari_ini3d.runs.summary import IterationSummary
from napari_ini3d.settings import InitialModelSettings

SETTINGS = InitialModelSettings(iterations=200)


def iterations(count, seconds=2.0, **changes):
    reports = (
        make_report(i, 200, seconds={"total": seconds}, **changes) for i in range(1, count + 1)
    )
    return [IterationSummary.from_report(report) for report in reports]


def run_until(**phases: int) -> list[IterationSummary]:
    """Return the iterations of a run that did so many of each phase."""
    names = [name for name, count in phases.items() for _ in range(count)]
    return [
        replace(summary, phase=name)
        for name, summary in zip(names, iterations(len(names)), strict=True)
    ]


def test_the_expected_end_is_before_the_maximum():
    early = expected_end(run_until(starts=3), SETTINGS)
    assert 60 < early < 120
    assert expected_end(run_until(starts=24), SETTINGS) == early
    assert expected_end(run_until(starts=3), None) == 200
    assert expected_end(run_until(starts=3), SETTINGS.with_changes(iterations=50)) == early


def test_refinement_and_final_pass_are_expected_after_a_search_however_long_it_takes():
    usual = expected_end(run_until(starts=25, search=30), SETTINGS)
    for search in (50, 63, 70):
        assert expected_end(run_until(starts=25, search=search), SETTINGS) == 25 + search + 9
    assert usual == expected_end(run_until(starts=25), SETTINGS)
    refining = expected_end(run_until(starts=25, search=63, refine=3), SETTINGS)
    assert refining == 25 + 63 + 9
    assert expected_end(run_until(starts=25, search=30, refine=20), SETTINGS) == 76


def test_no_end_is_expected_after_the_last_iteration():
    whole = run_until(starts=25, search=75, refine=99)
    assert expected_end(whole, SETTINGS) == 200
    assert expected_end([*whole, replace(whole[-1], iteration=200, phase="final")], SETTINGS) == 200


def test_the_remaining_time_is_estimated_from_the_last_five_iterations():
    slow_then_quick = iterations(5, seconds=100.0) + [
        replace(summary, iteration=summary.iteration + 5) for summary in iterations(5, seconds=2.0)
    ]
    assert remaining_seconds(slow_then_quick, 40) == pytest.approx(30 * 2.0)


def test_the_status_has_stage_resolution_and_remaining_time():
    text = status_text(iterations(10), "running", SETTINGS)
    assert text.startswith("Iteration 10 of max. 200 · search · 38.8 Å · about ")
    assert re.search(r"left \(ends \d\d:\d\d\)$", text)
    assert status_text(iterations(10), "paused", SETTINGS).endswith(" · paused")
    assert status_text(iterations(10), "stopping", SETTINGS).endswith(
        "stopping after the current iteration"
    )


@pytest.mark.parametrize(
    ("symmetry", "during", "looks"),
    [("C1", False, False), ("D2", False, True), ("auto", False, True), ("D2", True, False)],
)
def test_after_the_last_iteration_the_status_says_what_follows(symmetry, during, looks):
    settings = InitialModelSettings(symmetry=symmetry, symmetry_during_run=during)
    done = iterations(3, converged=True)
    text = status_text(done, "running", settings)
    assert text.startswith("Last iteration (3) done · refining two half-sets")
    assert ("symmetry" in text) == looks
    plain = settings.with_changes(independent_half_sets=False)
    assert status_text(done, "running", plain).startswith("Last iteration (3) done · writing the")


def test_the_status_of_an_ended_run_says_whether_it_finished():
    assert "the run can be resumed" in status_text(iterations(3), "idle", SETTINGS)
    done = iterations(3, converged=True, message="settled")
    assert status_text(done, "idle", SETTINGS) == "Finished after 3 iterations: settled"


def test_a_run_that_was_left_is_not_said_to_have_stopped():
    text = status_text(iterations(3), "left", SETTINGS)
    assert text == "Left after iteration 3; the run goes on without this window"
    assert "goes on" in beginning_text("left", begun=True)


def test_a_run_that_is_paused_after_its_last_iteration_says_so():
    text = status_text(iterations(3, converged=True), "paused", SETTINGS)
    assert "paused before refining two half-sets" in text


@pytest.mark.parametrize(
    ("state", "begun", "text"),
    [
        ("idle", False, "No run yet"),
        ("running", True, "Checking the particles …"),
        ("stopping", True, "Stopping …"),
        ("idle", True, "Stopped before the first iteration"),
    ],
)
def test_the_status_before_the_first_iteration_depends_on_the_state(state, begun, text):
    assert beginning_text(state, begun=begun) == text


def test_of_several_classes_the_result_is_named():
    done = iterations(3, converged=True, message="settled", classes=2)
    done[-1] = replace(done[-1], class_shares=[0.34, 0.66])
    text = status_text(done, "idle", SETTINGS)
    assert text.endswith("settled · the result is class 2, with 66% of the particles")


def test_the_remaining_time_is_shown_after_three_iterations():
    compiling = iterations(1, seconds=20.0)
    assert "left" not in status_text(compiling, "running", SETTINGS)
    later = compiling + [replace(s, iteration=s.iteration + 1) for s in iterations(2, seconds=1.0)]
    assert remaining_seconds(later, 13) == pytest.approx(10.0)
    assert "left" in status_text(later, "running", SETTINGS)


def test_a_run_is_not_at_its_end_before_it_has_been_validated():
    done, plain = iterations(60, converged=True), SETTINGS.with_changes(independent_half_sets=False)
    assert steps_until_end(done, "running", SETTINGS) == 100
    assert steps_until_end(done, "running", plain) == 60
    assert steps_until_end(done, "idle", SETTINGS) == 60
    early = iterations(3)
    assert steps_until_end(early, "running", SETTINGS) > expected_end(early, SETTINGS)
