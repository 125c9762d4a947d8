import json
import math
from contextlib import closing
from typing import get_args

import pytest
from fake_runs import make_record, make_report

from napari_ini3d.runs.catalogue import KILLED, RUNNING, describe_outcome, read_entry
from napari_ini3d.runs.folder import Outcome, RunFolder
from napari_ini3d.runs.lock import RunLock
from napari_ini3d.runs.note import write_note
from napari_ini3d.runs.summary import IterationSummary
from napari_ini3d.runs.symmetry_files import SymmetryFiles
from napari_ini3d.runs.validation_files import FSC_CURVES, ValidationFiles
from napari_ini3d.settings import InitialModelSettings


@pytest.fixture
def run(tmp_path):
    folder = RunFolder.create(tmp_path / "run")
    folder.write_record(make_record())
    return folder


def test_an_entry_has_the_outcome_the_iterations_and_the_best_resolution(run):
    for iteration, resolution in ((1, [30.0, 40.0]), (2, [math.nan, 12.5])):
        report = make_report(iteration, classes=2, resolution=resolution)
        run.append_progress(IterationSummary.from_report(report).to_json())
    run.mark("ABORTED")
    entry = read_entry(run.path)
    assert (entry.outcome, entry.iterations, entry.resolution) == ("stopped", 2, 12.5)
    assert entry.record == run.read_record()


def test_a_run_before_its_first_iteration_has_no_resolution(run):
    entry = read_entry(run.path)
    assert entry.iterations == 0
    assert math.isnan(entry.resolution)


def test_a_run_whose_lock_is_stale_was_killed(run):
    lock = RunLock.acquire(run.path)
    assert read_entry(run.path).outcome == RUNNING
    text = (run.path / "run.lock").read_text(encoding="utf-8")
    lock.release()
    owner = {**json.loads(text), "pid": 2**30}  # no such process
    (run.path / "run.lock").write_text(json.dumps(owner), encoding="utf-8")
    assert read_entry(run.path).outcome == KILLED


def test_a_run_with_neither_mark_nor_lock_was_killed(run):
    assert read_entry(run.path).outcome == KILLED


def test_every_outcome_has_its_own_description(run):
    outcomes = get_args(Outcome)
    assert len({describe_outcome(run, outcome) for outcome in outcomes}) == len(outcomes)


def test_a_run_that_is_about_to_be_marked_is_described_by_its_outcome_though_it_is_locked(run):
    with closing(RunLock.acquire(run.path)):
        assert describe_outcome(run, "ABORTED") == "stopped"


def test_a_damaged_line_of_progress_does_not_keep_a_run_from_the_list(run, caplog):
    run.append_progress({"iteration": 99})
    assert read_entry(run.path).iterations == len(run.read_progress()) - 1
    assert "the line of iteration 99 is damaged" in caplog.text


def test_an_entry_has_the_results_of_the_end_of_the_run(run):
    settings = InitialModelSettings(classes=3, symmetry="auto")
    run.write_record(make_record(settings=settings, n_particles=10, excluded=(1, 4)))
    assert read_entry(run.path).symmetry == "auto pending"
    curves = {name: [1.0, 0.5] for name in FSC_CURVES}
    ValidationFiles(run).write_facts(
        {
            "verdict": "reliable",
            "reasons": [],
            "resolution_0143": 11.25,
            "resolution_05": 14.0,
            "box_size": 4,
            "voxel_size": 4.0,
            "fsc": curves,
        }
    )
    facts = {"requested": "auto", "group": "D2", "verdict": "", "holds": True}
    SymmetryFiles(run).write_facts(facts)
    write_note(run, "good")
    entry = read_entry(run.path)
    assert (entry.verdict, entry.validated_resolution) == ("reliable", 11.25)
    assert (entry.n_classes, entry.n_particles) == (3, 8)
    assert (entry.symmetry, entry.note) == ("D2", "good")
    SymmetryFiles(run).write_facts(facts | {"holds": False})
    assert read_entry(run.path).symmetry == "D2 does not hold"


def test_a_symmetry_that_was_imposed_in_every_iteration_is_named_so(run):
    settings = InitialModelSettings(symmetry="C4", symmetry_during_run=True)
    run.write_record(make_record(settings=settings))
    assert read_entry(run.path).symmetry == "C4 imposed"
