"""Validation at the end of a run, with the real engine on a small set."""

import itertools
import re
import shutil

import numpy as np
import pytest

from napari_ini3d.engine import ClosingStep, HalfSetMaps
from napari_ini3d.fourier import compute_fsc, resize_map
from napari_ini3d.io.mrc.maps import read_map
from napari_ini3d.jobs.run import resume_run, start_run
from napari_ini3d.runs import (
    RunFolder,
    ValidationFiles,
    read_history,
    read_start_maps,
    read_validation_progress,
)
from napari_ini3d.runs.validation_files import describe_verdict
from napari_ini3d.settings import InitialModelSettings
from napari_ini3d.simulation import SimulationSettings, make_phantom, simulate_particles
from napari_ini3d.simulation.dataset import write_dataset

SETTINGS = InitialModelSettings(
    mask_diameter=100.0, iterations=6, starts=2, max_resolution=20.0, threads=1
)

STEPS: list[ClosingStep] = []  # of the run `validated`


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    settings = SimulationSettings(number=120, box_size=32, pixel_size=5.0, snr=2.0)
    phantom = make_phantom(diameter=80.0)
    folder = tmp_path_factory.mktemp("data")
    return write_dataset(folder, simulate_particles(phantom, settings), phantom)


@pytest.fixture(scope="module")
def validated(dataset, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run") / "validated"
    return folder, list(start_run(dataset, folder, SETTINGS, on_step=STEPS.append))


def files_of(folder):
    return ValidationFiles(RunFolder(folder))


def test_a_finished_run_has_half_maps_in_the_box_of_the_particles(validated):
    folder, _ = validated
    halves = [read_map(path) for path in files_of(folder).half_map_paths]
    for half in halves:
        assert half.data.shape == (32, 32, 32)
        assert half.voxel_size == pytest.approx(5.0)
    first, second = (half.data.ravel() for half in halves)
    assert 0.3 < np.corrcoef(first, second)[0, 1] < 0.9999  # alike, and not the same
    assert RunFolder(folder).outcome() == "SUCCESS"


def test_the_verdict_gives_the_resolution_of_the_half_sets_and_is_logged(validated):
    folder, _ = validated
    facts = files_of(folder).read_facts()
    assert facts["verdict"] in ("reliable", "uncertain", "failed")
    assert bool(facts["reasons"]) == (facts["verdict"] != "reliable")
    assert 20 <= facts["resolution_0143"] <= facts["resolution_05"] < 40
    assert describe_verdict(facts) in (folder / "log.txt").read_text()


def test_the_model_file_has_the_resolution_of_the_half_sets(validated):
    folder, reports = validated
    facts = files_of(folder).read_facts()
    text = RunFolder(folder).iteration_path(reports[-1].iteration, "model.star").read_text()
    written = [float(number) for number in re.findall(r"\b\d+\.\d+\b", text)]
    assert any(abs(number - facts["resolution_0143"]) < 0.01 for number in written)


@pytest.mark.usefixtures("validated")
def test_what_follows_the_last_iteration_is_told_step_by_step():
    stages = list(dict.fromkeys(step.stage for step in STEPS))
    assert stages == ["half-set 1", "half-set 2", "repeated search", "report"]
    for stage in stages:
        of_stage = [step for step in STEPS if step.stage == stage]
        assert [step.iteration for step in of_stage] == list(range(len(of_stage)))
        assert len(of_stage) == 1 or len(of_stage) - 1 <= of_stage[-1].n_iterations
        assert all(0 < step.resolution < 200 for step in of_stage[1:])
    assert STEPS[-1] == ClosingStep("report")


def test_the_log_has_every_iteration_of_the_validation(validated):
    text = (validated[0] / "log.txt").read_text()
    for step in STEPS:
        line = f"{step.stage}, iteration {step.iteration} of at most {step.n_iterations}: "
        assert (line in text) == (step.iteration > 0)


@pytest.mark.parametrize("moment", ["half-set 1, iteration 2", "repeating the search"])
def test_a_run_that_is_stopped_while_it_is_validated_is_resumed_there(
    dataset, validated, tmp_path, caplog, moment
):
    caplog.set_level("INFO")
    folder = tmp_path / "run"

    def stop() -> bool:
        return moment in caplog.text

    list(start_run(dataset, folder, SETTINGS, stop=stop))
    assert RunFolder(folder).outcome() == "ABORTED"
    assert files_of(folder).read_facts() is None
    caplog.clear()
    assert list(resume_run(folder)) == []  # no iteration is done again
    assert RunFolder(folder).outcome() == "SUCCESS"
    assert ("refining two independent half-sets" in caplog.text) == ("half-set" in moment)
    assert not files_of(folder).half_sets_path.exists()
    assert files_of(folder).read_facts() == files_of(validated[0]).read_facts()
    for path, expected in zip(
        files_of(folder).half_map_paths, files_of(validated[0]).half_map_paths, strict=True
    ):
        assert np.array_equal(read_map(path).data, read_map(expected).data)
    texts = [
        (where / "run_it006_model.star").read_text().replace(str(where), "")
        for where in (folder, validated[0])
    ]
    assert texts[0] == texts[1]


def test_the_progress_of_a_validation_rises_by_part_and_is_gone_at_the_end(
    dataset, validated, tmp_path
):
    folder, seen = RunFolder(tmp_path / "run"), []
    shutil.copytree(validated[0], folder.path)
    files_of(folder.path).facts_path.unlink()

    def stop() -> bool:
        found = read_validation_progress(folder)
        if found is not None:
            seen.append(found)
        return False

    assert list(resume_run(folder.path, stop=stop)) == []
    parts = {
        part: [found.share for found in group]
        for part, group in itertools.groupby(seen, lambda found: found.part)
    }
    assert list(parts) == ["half-sets", "repeated search"]
    for shares in parts.values():
        assert shares == sorted(shares)
        assert len(set(shares)) > 2
        assert shares[-1] > 0.5
    assert max(parts["repeated search"][:-1]) < 1
    assert read_validation_progress(folder) is None
    assert not (folder.path / "validation_progress.json").exists()


def test_the_maps_of_the_starts_are_kept_with_that_of_the_iteration(validated):
    folder, reports = RunFolder(validated[0]), validated[1]
    starts = [report.iteration for report in reports if report.phase == "starts"]
    found = read_start_maps(folder)
    assert found.iteration == starts[-1]
    assert len(found.maps) == SETTINGS.starts
    volume, voxel_size = read_history(folder, found.iteration, 0)
    assert len(found.maps[0]) * found.voxel_size == pytest.approx(len(volume) * voxel_size)
    small = resize_map(volume, len(found.maps[0]))
    assert np.corrcoef(small.ravel(), found.maps[0].ravel())[0, 1] > 0.999
    reported = reports[starts[-1] - 1]
    agreement = [
        compute_fsc(found.maps[0], other)[1 : reported.current_size // 2 + 1].mean()
        for other in found.maps[1:]
    ]
    np.testing.assert_allclose(agreement, reported.state.start_agreement, rtol=1e-5)


def test_damaged_maps_of_the_starts_are_ignored(validated, tmp_path, caplog):
    folder = RunFolder(tmp_path)
    assert read_start_maps(folder) is None
    whole = (validated[0] / "start_maps.npz").read_bytes()
    (tmp_path / "start_maps.npz").write_bytes(whole[: len(whole) // 2])
    assert read_start_maps(folder) is None
    assert "start_maps.npz is damaged" in caplog.text


def test_stored_half_sets_are_used_for_the_maps_that_they_were_refined_from_only(tmp_path, caplog):
    volumes = np.ones((1, 8, 8, 8), np.float32)
    found = HalfSetMaps(np.ones((2, 1, 8, 8, 8), np.float32), 3)
    files = files_of(tmp_path)
    files.write_half_sets(found, volumes)
    assert files.read_half_sets(volumes).radius == 3
    assert files.read_half_sets(2 * volumes) is None
    files.half_sets_path.write_bytes(files.half_sets_path.read_bytes()[:500])
    assert not caplog.text
    assert files.read_half_sets(volumes) is None
    assert "is damaged" in caplog.text


def test_without_independent_half_sets_a_run_has_no_verdict(dataset, tmp_path):
    folder = tmp_path / "run"
    list(start_run(dataset, folder, SETTINGS.with_changes(independent_half_sets=False)))
    assert RunFolder(folder).outcome() == "SUCCESS"
    files = files_of(folder)
    assert not any(path.exists() for path in (*files.half_map_paths, files.facts_path))
