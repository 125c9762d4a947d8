"""Remaining time of a run: by phase, and without jumps."""

import itertools
import shutil
from dataclasses import replace

import pytest
from fake_runs import make_record, make_report

from napari_ini3d.engine import ImageGeometry
from napari_ini3d.plugin.session.remaining_time import (
    planned_work,
    remaining_seconds,
    validation_share,
)
from napari_ini3d.preflight.run_time import PlannedWork, plan_work
from napari_ini3d.runs.folder import RunFolder
from napari_ini3d.runs.summary import IterationSummary
from napari_ini3d.runs.validation_progress import ValidationProgress
from napari_ini3d.settings import InitialModelSettings

PLAN = PlannedWork({"starts": (1.0,) * 10, "search": (2.0,) * 20, "refine": (20.0,) * 5}, 60.0)


def run(**phases):
    """Iterations of a run: for each phase, their number and seconds."""
    planned = [(name, seconds) for name, (n, seconds) in phases.items() for _ in range(n)]
    return [
        replace(
            IterationSummary.from_report(make_report(i, 200, seconds={"total": seconds})),
            phase=name,
        )
        for i, (name, seconds) in enumerate(planned, 1)
    ]


def test_the_parts_of_a_validation_count_by_their_work():
    plan = replace(PLAN, repeated_search=45.0)  # of 60
    steps = [
        None,
        ValidationProgress("half-sets", 0.5),
        ValidationProgress("half-sets", 1.0),
        ValidationProgress("repeated search", 0.0),
        ValidationProgress("repeated search", 1.0),
    ]
    assert [validation_share(step, plan) for step in steps] == [0, 0.125, 0.25, 0.25, 1]
    assert validation_share(steps[1], replace(plan, validation=0.0)) == 0


def test_the_repeated_search_is_a_part_of_the_planned_validation():
    geometry = ImageGeometry(box_size=64, pixel_size=3.0, diameter=130.0, n_particles=2000)
    plan = plan_work(geometry, InitialModelSettings())
    assert 0 < plan.repeated_search < plan.validation
    several = plan_work(geometry, InitialModelSettings(classes=2))
    assert several.repeated_search == 0 < several.validation


def test_a_run_as_planned_takes_the_time_of_the_plan():
    left = remaining_seconds(run(starts=(10, 1.0), search=(10, 2.0)), PLAN)
    assert left == pytest.approx(10 * 2 + 5 * 20 + 60, rel=0.05)


def test_slow_phases_that_are_still_to_come_are_counted():
    """At the end of a quick search, the seconds of an iteration say '2 s left'."""
    left = remaining_seconds(run(starts=(10, 0.1), search=(19, 0.2)), PLAN)
    assert left == pytest.approx(0.1 * (2 + 5 * 20 + 60), rel=0.2)


def test_in_the_random_starts_no_time_is_claimed():
    assert remaining_seconds(run(starts=(10, 1.0)), PLAN) is None


def test_one_slow_iteration_does_not_multiply_the_remaining_time():
    quick = run(starts=(10, 1.0), search=(10, 2.0))
    slow = [*quick, replace(quick[-1], iteration=21, seconds={"total": 60.0})]
    before, after = (remaining_seconds(found, PLAN) for found in (quick, slow))
    assert 0.5 < after / before < 1.5


def test_the_remaining_time_never_jumps_by_a_factor():
    whole = run(starts=(10, 0.5), search=(35, 1.0), refine=(9, 30.0))
    shown = [remaining_seconds(whole[:n], PLAN) for n in range(14, len(whole) + 1)]
    ratios = [(after + 5) / (before + 5) for before, after in itertools.pairwise(shown)]
    assert min(ratios) > 0.5
    assert max(ratios) < 2


def with_second_search(summaries, first):
    """The same iterations, of which the first are followed by a second search."""
    return [replace(s, searches_to_come=int(s.iteration <= first)) for s in summaries]


def two_searches():
    """Iterations of a run that searches twice, as planned for each search."""
    first = run(starts=(10, 1.0), search=(20, 2.0), refine=(5, 20.0))
    second = [replace(s, iteration=s.iteration + 25) for s in first[10:]]
    return with_second_search([*first, *second], len(first) - 1)


def test_a_second_search_is_counted_before_it_begins_and_within_it():
    whole = two_searches()
    for n in (15, 25, 33, 38, 50, 57):
        left = remaining_seconds(whole[:n], PLAN)
        assert left == pytest.approx(sum(s.total_seconds for s in whole[n:]) + 60, rel=0.1), n


def test_the_remaining_time_does_not_jump_where_the_second_search_begins():
    whole = two_searches()
    shown = [remaining_seconds(whole[:n], PLAN) for n in range(14, len(whole) + 1)]
    spent = [s.total_seconds for s in whole[14:]]
    jumps = [abs(b + s - a) for (a, b), s in zip(itertools.pairwise(shown), spent, strict=True)]
    assert max(jumps) < 25


def test_a_second_search_takes_as_long_as_the_first_one_did():
    """It was twice as slow as planned, and its refinement took 15 iterations instead of 5."""
    first = run(starts=(10, 1.0), search=(40, 4.0), refine=(15, 20.0))
    second = [replace(s, iteration=s.iteration + 55) for s in first[10:20]]
    left = remaining_seconds(with_second_search([*first, *second], 64), PLAN)
    assert left == pytest.approx(30 * 4 + 15 * 20 + 60, rel=0.25)


def test_an_estimate_changes_by_less_than_half_in_an_iteration_whatever_that_takes():
    quick = run(starts=(10, 1.0), search=(10, 2.0))
    slow = [*quick, replace(quick[-1], iteration=21, seconds={"total": 5000.0})]
    before, after = (remaining_seconds(found, PLAN) for found in (quick, slow))
    assert after < 1.5 * before + 5


def test_starts_at_a_finer_resolution_make_the_planned_search_finer(tmp_path):
    summaries = run(starts=(2, 1.0))
    folder = RunFolder.create(tmp_path / "run")
    folder.write_record(make_record())
    coarse = planned_work(folder.path, summaries)
    finer = [summaries[0], replace(summaries[1], current_size=2 * summaries[0].current_size)]
    assert sum(planned_work(folder.path, finer).phases["search"]) > sum(coarse.phases["search"])


def test_a_phase_that_takes_longer_than_usual_is_not_about_to_end():
    left = remaining_seconds(run(starts=(10, 1.0), search=(20, 2.0), refine=(12, 20.0)), PLAN)
    assert left > 60


def test_the_plan_has_all_phases_and_a_validation_only_if_it_is_wanted():
    geometry = ImageGeometry(box_size=64, pixel_size=3.0, diameter=120.0, n_particles=1000)
    settings = InitialModelSettings()
    planned = plan_work(geometry, settings)
    assert list(planned.phases) == ["starts", "search", "refine", "final"]
    assert planned.phases["refine"][-1] > planned.phases["search"][0] > 0
    assert planned.validation > 0
    assert plan_work(geometry, settings.with_changes(independent_half_sets=False)).validation == 0


def test_a_run_that_is_deleted_and_started_again_has_the_plan_of_its_new_settings(tmp_path):
    summaries = run(starts=(1, 1.0))
    folder = tmp_path / "run"
    assert planned_work(folder, summaries) is None  # it has no record yet
    for wanted in (True, False):
        settings = InitialModelSettings(independent_half_sets=wanted)
        shutil.rmtree(folder, ignore_errors=True)
        RunFolder.create(folder).write_record(make_record(settings=settings))
        found = planned_work(folder, summaries)
        assert (found.validation > 0) == wanted
