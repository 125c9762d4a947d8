import re
from dataclasses import replace

import pytest
from fake_runs import make_report

from napari_ini3d.plugin.session.status import (
    beginning_text,
    expected_end,
    message_of,
    progress_of_bar,
    status_text,
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


def test_the_expected_end_has_the_search_that_is_to_come_and_not_the_one_that_is_done():
    searching = run_until(starts=25, search=30)
    settings = SETTINGS.with_changes(iterations=300)
    usual = expected_end(searching, settings)
    twice = [replace(summary, searches_to_come=1) for summary in searching]
    assert expected_end(twice, settings) == usual + 45 + 8
    second = [*run_until(starts=25, search=45, refine=8), *run_until(starts=0, search=45)]
    second = [replace(summary, iteration=i) for i, summary in enumerate(second, 1)]
    assert expected_end(second, settings) == 25 + 45 + 8 + 45 + 9


def test_no_end_is_expected_after_the_last_iteration():
    whole = run_until(starts=25, search=75, refine=99)
    assert expected_end(whole, SETTINGS) == 200
    assert expected_end([*whole, replace(whole[-1], iteration=200, phase="final")], SETTINGS) == 200


def test_the_status_has_stage_resolution_and_remaining_time():
    text = status_text(iterations(10), "running", SETTINGS, left=130.0)
    said = "Iteration 10 of at most 200 · search · 38.8 Å (FSC 0.5) · about 2 min left"
    assert text.startswith(said)
    assert re.search(r"left \(ends \d\d:\d\d\)$", text)
    assert "left" not in status_text(iterations(10), "running", SETTINGS)
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
    assert text == "Detached after iteration 3; the run continues without this window"
    assert "continues" in beginning_text("left", begun=True)


def test_a_run_that_is_paused_after_its_last_iteration_says_so():
    text = status_text(iterations(3, converged=True), "paused", SETTINGS)
    assert text.endswith(" · paused")


def test_during_the_validation_the_status_shows_the_newest_message_of_the_log():
    line = "2026-11-27 09:07:42 INFO    half-set 1, iteration 2 of at most 8: 19.2 Å"
    text = status_text(iterations(3, converged=True), "running", SETTINGS, message=message_of(line))
    assert text == "Last iteration (3) done · half-set 1, iteration 2 of at most 8: 19.2 Å"
    assert message_of("2026-11-27 09:07:42 INFO      117/200  refine  11.7 Å") == ""


def test_a_long_message_of_the_log_is_cut_in_the_status():
    done = iterations(3, converged=True)
    text = status_text(done, "running", SETTINGS, message="many words of a warning " * 20)
    assert len(text) < 140
    assert text.endswith(" …")


def test_during_the_validation_the_status_has_the_remaining_time():
    done = iterations(3, converged=True)
    text = status_text(done, "running", SETTINGS, left=130.0, message="half-set 1")
    assert text.startswith("Last iteration (3) done · half-set 1 · about 2 min left (ends ")
    assert "left" not in status_text(done, "paused", SETTINGS, left=130.0)


def test_the_bar_counts_as_the_status_does():
    running = iterations(44)
    done, most = progress_of_bar(running)
    assert status_text(running, "running", SETTINGS).startswith(
        f"Iteration {done} of at most {most}"
    )
    assert progress_of_bar(iterations(117, converged=True)) == (117, 117)


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


def test_a_run_that_was_stopped_is_described_by_its_message():
    last = replace(iterations(4)[-1], message="refining at 12.3 Å (FSC 0.5)")
    assert status_text([last], "idle", SETTINGS) == (
        "Stopped after iteration 4: refining at 12.3 Å (FSC 0.5); the run can be resumed"
    )
