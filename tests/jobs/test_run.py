"""Runs with a fake engine: files, order of writing, stopping and resuming."""

import contextlib
import dataclasses
import itertools
import os
import shutil
import subprocess
import sys
from types import SimpleNamespace

import mrcfile
import numpy as np
import pytest
from fake_runs import FakeState, fake_reconstruct

from napari_ini3d.engine import LocalChunks
from napari_ini3d.errors import (
    DeviceError,
    InputError,
    RunFolderError,
    SettingsError,
    StackError,
    StarError,
    SymmetryError,
)
from napari_ini3d.io.mrc.maps import read_map
from napari_ini3d.io.processes import machine_identity
from napari_ini3d.io.star.particles import read_particles
from napari_ini3d.jobs import run as run_module, symmetry
from napari_ini3d.jobs.run import resume_run, start_run
from napari_ini3d.preflight import selection
from napari_ini3d.report import write_report
from napari_ini3d.runs.folder import RunFolder
from napari_ini3d.runs.history import read_history
from napari_ini3d.runs.lock import RunLock
from napari_ini3d.settings import InitialModelSettings
from napari_ini3d.simulation import SimulationSettings, make_phantom, simulate_particles
from napari_ini3d.simulation.dataset import write_dataset

N_PARTICLES = 12
SETTINGS = InitialModelSettings(mask_diameter=100.0, iterations=5, write_every=2, threads=1)


@pytest.fixture(autouse=True)
def engine(monkeypatch):
    monkeypatch.setattr(run_module, "reconstruct", fake_reconstruct)
    monkeypatch.setattr(run_module, "EngineState", FakeState)
    monkeypatch.setattr(run_module, "write_report", lambda folder, **_: folder.report_path.touch())


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    settings = SimulationSettings(number=N_PARTICLES, box_size=32, pixel_size=4.0)
    phantom = make_phantom(diameter=80.0)
    folder = tmp_path_factory.mktemp("data")
    return write_dataset(folder, simulate_particles(phantom, settings), phantom)


def spoil(star, *images):
    with mrcfile.open(star.with_name("particles.mrcs"), "r+") as file:
        for image in images:
            file.data[image] = np.nan


@pytest.fixture
def own_dataset(tmp_path, dataset):
    for path in dataset.parent.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    return tmp_path / dataset.name


def names(folder):
    return {p.name for p in folder.iterdir()}


def stopping_after(count, folder):
    return lambda: len(RunFolder(folder).read_progress()) >= count


def test_a_run_writes_the_files_of_a_relion_job_and_its_own(dataset, tmp_path):
    reports = list(start_run(dataset, tmp_path / "run", SETTINGS, command="ini3d run x"))
    assert [report.iteration for report in reports] == [1, 2, 3, 4, 5]
    written = {
        f"run_it{i:03d}_{ending}"
        for i in (2, 4, 5)
        for ending in ("class001.mrc", "data.star", "model.star", "state.npz")
    }
    assert names(tmp_path / "run") == written | {
        "initial_model.mrc",
        "RELION_JOB_EXIT_SUCCESS",
        "settings.json",
        "log.txt",
        "progress.jsonl",
        "checkpoint.npz",
        "checkpoint_previous.npz",
        "images.npz",
        "outputs.txt",
        "report.html",
        "pictures",
        "history",
    }


def test_the_result_is_the_map_of_the_largest_class(dataset, tmp_path):
    (*_, last) = start_run(dataset, tmp_path / "run", SETTINGS.with_changes(classes=3))
    found = read_map(tmp_path / "run" / "initial_model.mrc")
    np.testing.assert_array_equal(found.data, last.volumes[0])
    assert found.voxel_size == pytest.approx(last.voxel_size)
    assert (tmp_path / "run" / "run_it005_class003.mrc").is_file()


def test_the_files_of_an_iteration_are_written_before_its_report_is_yielded(dataset, tmp_path):
    folder = tmp_path / "run"
    for report in start_run(dataset, folder, SETTINGS):
        run = RunFolder.open(folder)
        assert run.read_checkpoint()[0] == report.iteration
        assert run.read_progress()[-1]["iteration"] == report.iteration
        assert run.class_map_path(report.iteration, 0).is_file() == run_module.is_due(
            report, SETTINGS
        )
        assert run.outcome() is None


def test_the_data_star_can_be_read_as_particles(own_dataset, tmp_path):
    list(start_run(own_dataset, tmp_path / "run", SETTINGS))
    particles, table = read_particles(tmp_path / "run" / "run_it005_data.star")
    assert len(particles) == N_PARTICLES
    assert set(table.particles["rlnClassNumber"]) == {1}


@pytest.mark.parametrize("stopped_after", [1, 2, 3])
def test_a_resumed_run_equals_one_that_was_not_stopped(dataset, tmp_path, stopped_after):
    whole, parted = tmp_path / "whole", tmp_path / "parted"
    list(start_run(dataset, whole, SETTINGS))
    list(start_run(dataset, parted, SETTINGS, stop=stopping_after(stopped_after, parted)))
    assert RunFolder.open(parted).outcome() == "ABORTED"
    resumed = list(resume_run(parted))
    assert resumed[0].iteration == stopped_after + 1
    assert RunFolder.open(parted).outcome() == "SUCCESS"
    for name in ("initial_model.mrc", "run_it005_class001.mrc"):
        np.testing.assert_array_equal(read_map(whole / name).data, read_map(parted / name).data)
    for name in ("progress.jsonl", "run_it005_data.star"):
        assert (whole / name).read_bytes() == (parted / name).read_bytes()


def test_the_record_of_a_run_has_the_cluster_of_its_last_start(dataset, tmp_path, monkeypatch):
    here = contextlib.nullcontext(LocalChunks())
    monkeypatch.setattr(run_module, "open_chunks", lambda *_: here)
    folder = tmp_path / "run"
    options = {"stop": stopping_after(2, folder), "cluster": "local:2"}
    list(start_run(dataset, folder, SETTINGS, **options))
    assert RunFolder.open(folder).read_record().cluster == "local:2"
    list(resume_run(folder))
    assert RunFolder.open(folder).read_record().cluster == ""
    assert RunFolder.open(folder).outcome() == "SUCCESS"


def test_a_stopped_run_writes_its_last_iteration_but_no_result(dataset, tmp_path):
    folder = tmp_path / "run"
    list(start_run(dataset, folder, SETTINGS, stop=stopping_after(3, folder)))
    assert {"run_it003_class001.mrc", "run_it003_data.star", "report.html"} <= names(folder)
    assert "initial_model.mrc" not in names(folder)
    assert "ini3d resume" in (folder / "log.txt").read_text()


def test_a_killed_run_loses_only_the_current_iteration(dataset, tmp_path, monkeypatch):
    folder = tmp_path / "run"
    written = RunFolder.write_checkpoint

    def die_at_third(self, arrays, iteration, *, keep):
        if iteration == 3:
            raise SystemExit
        written(self, arrays, iteration, keep=keep)

    with monkeypatch.context() as patch:
        patch.setattr(RunFolder, "write_checkpoint", die_at_third)
        with pytest.raises(SystemExit):
            list(start_run(dataset, folder, SETTINGS))
    assert RunFolder.open(folder).outcome() is None
    assert [report.iteration for report in resume_run(folder)] == [3, 4, 5]
    lines = RunFolder.open(folder).read_progress()
    assert [line["iteration"] for line in lines] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("how", ["killed", "interrupted"])
def test_a_run_that_ended_in_its_first_iteration_starts_again(dataset, tmp_path, monkeypatch, how):
    whole, folder = tmp_path / "whole", tmp_path / "run"
    list(start_run(dataset, whole, SETTINGS))

    def die(self, arrays, iteration, *, keep):
        raise SystemExit if how == "killed" else KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(RunFolder, "write_checkpoint", die)
        with pytest.raises((SystemExit, KeyboardInterrupt)):
            list(start_run(dataset, folder, SETTINGS))
    assert [report.iteration for report in resume_run(folder)] == [1, 2, 3, 4, 5]
    for name in ("initial_model.mrc", "progress.jsonl", "run_it005_data.star"):
        assert (whole / name).read_bytes() == (folder / name).read_bytes()


def test_a_run_resumed_from_an_earlier_iteration_and_killed_continues_from_there(dataset, tmp_path):
    folder = tmp_path / "run"
    list(start_run(dataset, folder, SETTINGS))
    resume_run(folder, from_iteration=2)  # not one iteration of it is done
    RunFolder.open(folder).clear_marks()
    assert [report.iteration for report in resume_run(folder)] == [3, 4, 5]
    assert len(RunFolder.open(folder).read_progress()) == 5


def test_a_run_of_another_version_is_not_resumed_and_not_changed(dataset, tmp_path):
    folder = tmp_path / "run"
    list(start_run(dataset, folder, SETTINGS))
    progress = folder / "progress.jsonl"
    progress.write_text(progress.read_text().replace('"version": 2, ', ""))
    before = {path: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    with pytest.raises(RunFolderError, match="line 1 has no version number"):
        resume_run(folder, from_iteration=2)
    assert {path: path.read_bytes() for path in folder.iterdir() if path.is_file()} == before


def test_a_run_can_be_resumed_from_an_earlier_written_iteration(dataset, tmp_path):
    folder = tmp_path / "run"
    list(start_run(dataset, folder, SETTINGS))
    before = (folder / "progress.jsonl").read_bytes()
    assert [report.iteration for report in resume_run(folder, from_iteration=2)] == [3, 4, 5]
    assert (folder / "progress.jsonl").read_bytes() == before


def test_a_finished_run_can_be_extended(dataset, tmp_path):
    folder = tmp_path / "run"
    list(start_run(dataset, folder, SETTINGS))
    assert [report.iteration for report in resume_run(folder, iterations=7)] == [5, 6, 7]
    assert RunFolder.open(folder).read_record().settings.iterations == 7


def test_a_finished_run_is_not_resumed_by_accident(dataset, tmp_path):
    list(start_run(dataset, tmp_path / "run", SETTINGS))
    with pytest.raises(
        RunFolderError, match=r"a finished run, which is complete; give a larger number of --iter"
    ):
        resume_run(tmp_path / "run")
    assert RunFolder.open(tmp_path / "run").outcome() == "SUCCESS"


def test_fewer_iterations_than_are_done_are_refused(dataset, tmp_path):
    list(start_run(dataset, tmp_path / "run", SETTINGS))
    with pytest.raises(SettingsError, match="iterations is 3, but 5 are done"):
        resume_run(tmp_path / "run", iterations=3)


@pytest.mark.parametrize("looks", range(5))
def test_a_run_that_is_stopped_during_the_checks_writes_nothing(dataset, tmp_path, looks):
    calls = itertools.count()
    reports = start_run(dataset, tmp_path / "run", SETTINGS, stop=lambda: next(calls) >= looks)
    assert list(reports) == []
    assert not (tmp_path / "run").exists()


def test_checking_images_ends_when_a_run_is_stopped(dataset, tmp_path, monkeypatch):
    monkeypatch.setattr(selection, "_IMAGES_AT_ONCE", 2)
    seen = []

    def look(source, images, shapes):
        seen.extend(images)
        return iter(())

    monkeypatch.setattr(selection, "bad_images", look)
    list(start_run(dataset, tmp_path / "run", SETTINGS, stop=lambda: len(seen) >= 4))
    assert seen == [0, 1, 2, 3]


def test_particles_that_changed_since_the_start_are_refused(own_dataset, tmp_path):
    folder = tmp_path / "run"
    list(start_run(own_dataset, folder, SETTINGS, stop=stopping_after(1, folder)))
    own_dataset.write_text(own_dataset.read_text() + "\n")
    with pytest.raises(RunFolderError, match="has changed since the run was started"):
        resume_run(folder)


def test_an_error_of_the_engine_marks_failure_and_is_logged(dataset, tmp_path, monkeypatch):
    def broken(*args, **kwargs):
        yield from itertools.islice(fake_reconstruct(*args, **kwargs), 1)
        raise InputError("particles.mrcs: the disk went away")

    monkeypatch.setattr(run_module, "reconstruct", broken)
    folder = tmp_path / "run"
    with pytest.raises(InputError, match="the disk went away"):
        list(start_run(dataset, folder, SETTINGS))
    assert RunFolder.open(folder).outcome() == "FAILURE"
    assert "the disk went away" in (folder / "log.txt").read_text()
    assert not [name for name in names(folder) if ".tmp" in name]
    monkeypatch.setattr(run_module, "reconstruct", fake_reconstruct)
    assert [report.iteration for report in resume_run(folder)] == [2, 3, 4, 5]
    assert names(folder) & {"RELION_JOB_EXIT_FAILURE", "RELION_JOB_EXIT_SUCCESS"} == {
        "RELION_JOB_EXIT_SUCCESS"
    }


@pytest.mark.parametrize("how", ["close", "interrupt"])
def test_an_interrupted_run_is_marked_aborted(dataset, tmp_path, how):
    reports = start_run(dataset, tmp_path / "run", SETTINGS)
    next(reports)
    if how == "close":
        reports.close()
    else:
        with pytest.raises(KeyboardInterrupt):
            reports.throw(KeyboardInterrupt)
    assert RunFolder.open(tmp_path / "run").outcome() == "ABORTED"


def test_bad_images_are_excluded_and_listed(own_dataset, tmp_path):
    spoil(own_dataset, 3, 7)
    settings = SETTINGS.with_changes(max_excluded=0.2)
    (*_, last) = start_run(own_dataset, tmp_path / "run", settings)
    assert len(last.assignments.rot) == N_PARTICLES - 2
    excluded, _ = read_particles(tmp_path / "run" / "excluded.star")
    assert excluded.image_index.tolist() == [3, 7]
    kept, _ = read_particles(tmp_path / "run" / "run_it005_data.star")
    assert sorted(kept.image_index.tolist()) == [i for i in range(N_PARTICLES) if i not in (3, 7)]


def test_a_resumed_run_excludes_the_same_images(own_dataset, tmp_path):
    spoil(own_dataset, 3)
    settings = SETTINGS.with_changes(max_excluded=0.2)
    list(
        start_run(own_dataset, tmp_path / "run", settings, stop=stopping_after(1, tmp_path / "run"))
    )
    (*_, last) = resume_run(tmp_path / "run")
    assert len(last.assignments.rot) == N_PARTICLES - 1


def test_too_many_bad_images_end_the_run_before_it_starts(own_dataset, tmp_path):
    spoil(own_dataset, 3, 7)
    with pytest.raises(InputError, match=r"2 of 12 images .* 4@.*particles\.mrcs.*--max-excluded"):
        start_run(own_dataset, tmp_path / "run", SETTINGS)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"mask_diameter": 400.0}, SettingsError, "400 Å; the box is 32 pixels of 4 Å, 128 Å wide"),
        ({"symmetry": "Q7"}, SymmetryError, "Q7"),
        ({"device": "toaster"}, (DeviceError, SettingsError), "toaster"),
    ],
)
def test_settings_that_cannot_be_used_are_refused_at_once(dataset, tmp_path, changes, error, words):
    with pytest.raises(error, match=words):
        start_run(dataset, tmp_path / "run", SETTINGS.with_changes(**changes))
    assert not (tmp_path / "run").exists()


def test_a_disk_without_space_is_refused_before_the_folder_is_made(dataset, tmp_path, monkeypatch):
    usage = type("Usage", (), {"free": 1000})
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage)
    with pytest.raises(RunFolderError, match=r"0\.0 MB free; an iteration needs about 3\.2 MB"):
        start_run(dataset, tmp_path / "run", SETTINGS)
    assert not (tmp_path / "run").exists()


def test_a_scratch_folder_that_cannot_be_used_is_refused_at_once(dataset, tmp_path):
    (tmp_path / "scratch").touch()
    with pytest.raises(RunFolderError, match="is a file; give a folder as scratch"):
        start_run(
            dataset, tmp_path / "run", SETTINGS.with_changes(scratch=str(tmp_path / "scratch"))
        )
    assert not (tmp_path / "run").exists()


def images_as_they_come(folder, change):
    settings = SimulationSettings(number=40, box_size=32, pixel_size=4.0, snr=5.0)
    phantom = make_phantom(diameter=80.0)
    star = write_dataset(folder, simulate_particles(phantom, settings), phantom)
    with mrcfile.open(star.with_name("particles.mrcs"), "r+") as file:
        change(file.data)
    return star


def invert(images):
    images *= -1


@pytest.mark.parametrize(
    ("setting", "inverted", "text"),
    [
        ("auto", "yes", "black on white; the images are inverted"),
        ("no", "no", "with invert_contrast no the map will be inverted"),
    ],
)
def test_inverted_contrast_is_measured_stored_and_reported(
    tmp_path, caplog, setting, inverted, text
):
    star = images_as_they_come(tmp_path / "data", invert)
    settings = SETTINGS.with_changes(invert_contrast=setting)
    reports = start_run(star, tmp_path / "run", settings)
    assert text in caplog.text
    record = RunFolder(tmp_path / "run").read_record()
    assert record.settings.invert_contrast == inverted
    assert record.inversion_measured == (setting == "auto")
    assert record.contrast == "black on white"
    reports.close()


def test_a_run_on_inverted_images_gives_the_maps_of_the_others(tmp_path):
    maps = []
    for name, change in (("upright", lambda images: None), ("inverted", invert)):
        star = images_as_they_come(tmp_path / name, change)
        maps.append(next(start_run(star, tmp_path / f"{name}_run", SETTINGS)).volumes)
    assert np.array_equal(*maps)


def test_outlier_pixels_are_replaced_counted_and_logged(tmp_path):
    def damage(images):
        images[3, 5, 5] = np.nan
        images[7, 20, 9:11] = 1e20

    star = images_as_they_come(tmp_path / "data", damage)
    report = next(start_run(star, tmp_path / "run", SETTINGS))
    assert np.isfinite(report.volumes).all()
    folder = RunFolder(tmp_path / "run")
    record = folder.read_record()
    assert (record.n_mended, record.n_replaced_pixels, record.excluded) == (2, 3, ())
    text = "3 outlier pixels (hot, dead or not finite) replaced in 2 images"
    assert text in folder.log_path.read_text()


def test_with_a_missing_star_file_nothing_is_written(tmp_path):
    with pytest.raises((StarError, OSError), match=r"nowhere\.star"):
        start_run(tmp_path / "nowhere.star", tmp_path / "run", SETTINGS)
    assert not (tmp_path / "run").exists()


def test_a_second_run_in_the_same_folder_is_refused_and_the_first_stays(dataset, tmp_path):
    folder = tmp_path / "run"
    list(start_run(dataset, folder, SETTINGS))
    before = {p.name: p.stat().st_mtime_ns for p in folder.iterdir()}
    with pytest.raises(RunFolderError, match="already holds a run"):
        start_run(dataset, folder, SETTINGS)
    assert {p.name: p.stat().st_mtime_ns for p in folder.iterdir()} == before


def test_a_mask_that_is_not_given_is_estimated_and_recorded(dataset, tmp_path):
    settings = SETTINGS.with_changes(mask_diameter=None)
    list(start_run(dataset, tmp_path / "run", settings, stop=stopping_after(1, tmp_path / "run")))
    record = RunFolder.open(tmp_path / "run").read_record()
    assert record.mask_estimated
    assert record.settings.mask_diameter is not None
    assert 40 <= record.settings.mask_diameter <= 128


def test_a_finished_run_is_searched_for_symmetry(dataset, tmp_path, monkeypatch):
    called = []
    monkeypatch.setattr(
        symmetry,
        "apply_symmetry",
        lambda *args, working_box: called.append((*args, working_box)),
    )
    settings = SETTINGS.with_changes(symmetry="D2")
    list(start_run(dataset, tmp_path / "run", settings))
    ((folder, used, iteration, working_box),) = called
    assert folder.path == tmp_path / "run"
    assert used.symmetry == "D2"
    assert iteration == 5
    assert working_box == 32


def test_a_stopped_run_is_not_searched_for_symmetry(dataset, tmp_path, monkeypatch):
    monkeypatch.setattr(symmetry, "apply_symmetry", lambda *args, **_: pytest.fail("called"))
    settings = SETTINGS.with_changes(symmetry="D2")
    list(start_run(dataset, tmp_path / "run", settings, stop=stopping_after(1, tmp_path / "run")))


def test_a_symmetry_to_detect_cannot_be_imposed_during_the_run(dataset, tmp_path):
    settings = SETTINGS.with_changes(symmetry="auto", symmetry_during_run=True)
    with pytest.raises(SettingsError, match="symmetry_during_run"):
        start_run(dataset, tmp_path / "run", settings)
    assert not (tmp_path / "run").exists()


def test_a_run_killed_before_its_result_was_written_can_be_completed(
    dataset, tmp_path, monkeypatch
):
    folder = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr(run_module, "_finish", lambda *args, **kwargs: None)
        (*_, last) = start_run(dataset, folder, SETTINGS)
    assert not (folder / "initial_model.mrc").exists()
    assert list(resume_run(folder)) == []
    np.testing.assert_array_equal(read_map(folder / "initial_model.mrc").data, last.volumes[0])
    assert RunFolder.open(folder).outcome() == "SUCCESS"


def test_a_run_that_keeps_its_images_does_not_need_the_stacks_again(
    own_dataset, tmp_path, monkeypatch
):
    def removing(source, particles, settings, **options):
        kept = source.read(np.arange(len(particles))).images
        own_dataset.with_name("particles.mrcs").unlink()
        for report in fake_reconstruct(source, particles, settings, **options):
            np.testing.assert_array_equal(source.read(np.arange(len(particles))).images, kept)
            yield report

    monkeypatch.setattr(run_module, "reconstruct", removing)
    list(start_run(own_dataset, tmp_path / "run", SETTINGS))
    assert RunFolder(tmp_path / "run").outcome() == "SUCCESS"


def test_a_stack_truncated_during_a_run_marks_failure_and_the_run_can_be_resumed(
    own_dataset, tmp_path, monkeypatch
):
    monkeypatch.setattr(
        run_module, "bytes_to_keep", lambda: 0
    )  # images are read in every iteration
    stack, folder = own_dataset.with_name("particles.mrcs"), tmp_path / "run"
    whole = stack.read_bytes()

    def reading(source, particles, settings, **options):
        for report in fake_reconstruct(source, particles, settings, **options):
            source.read(np.arange(len(particles)))
            yield report
            stack.write_bytes(whole[: len(whole) // 2])

    monkeypatch.setattr(run_module, "reconstruct", reading)
    with pytest.raises(StackError, match=r"particles\.mrcs: truncated since it was opened"):
        list(start_run(own_dataset, folder, SETTINGS))
    assert RunFolder.open(folder).outcome() == "FAILURE"
    stack.write_bytes(whole)
    monkeypatch.setattr(run_module, "reconstruct", fake_reconstruct)
    assert [report.iteration for report in resume_run(folder)] == [2, 3, 4, 5]


def test_a_run_finishes_with_its_report_if_a_class_ends_empty(dataset, tmp_path, monkeypatch):
    def emptying(*args, **kwargs):
        for report in fake_reconstruct(*args, **kwargs):
            report.volumes[1] = 0
            yield dataclasses.replace(report, class_shares=np.array([1.0, 0.0]))

    monkeypatch.setattr(run_module, "reconstruct", emptying)
    monkeypatch.setattr(run_module, "write_report", write_report)
    folder = tmp_path / "run"
    list(start_run(dataset, folder, SETTINGS.with_changes(classes=2)))
    assert RunFolder.open(folder).outcome() == "SUCCESS"
    assert "Final map of class 2" in (folder / "report.html").read_text()
    shutil.rmtree(folder / "history")
    assert not read_history(RunFolder(folder), 5, 1)[0].any()


@pytest.mark.parametrize("name", ["report.html", "initial_model.mrc"])
def test_what_is_missing_from_a_finished_run_is_completed(dataset, tmp_path, name):
    folder = tmp_path / "run"
    list(start_run(dataset, folder, SETTINGS))
    whole = (folder / name).read_bytes()
    (folder / name).unlink()
    assert list(resume_run(folder)) == []
    assert (folder / name).read_bytes() == whole
    assert RunFolder(folder).outcome() == "SUCCESS"


def test_success_is_marked_after_everything_else(dataset, tmp_path, monkeypatch):
    folder = tmp_path / "run"

    def killed(*_, **__):
        raise SystemExit

    with monkeypatch.context() as patch:
        patch.setattr(run_module, "write_report", killed)
        with pytest.raises(SystemExit):
            list(start_run(dataset, folder, SETTINGS))
    assert RunFolder(folder).outcome() is None
    assert list(resume_run(folder)) == []
    assert (folder / "report.html").is_file()
    assert RunFolder(folder).outcome() == "SUCCESS"


def test_a_run_is_completed_without_its_progress(dataset, tmp_path, monkeypatch):
    folder = tmp_path / "run"
    list(start_run(dataset, folder, SETTINGS.with_changes(classes=2)))
    whole = (folder / "initial_model.mrc").read_bytes()
    (folder / "initial_model.mrc").unlink()
    (folder / "progress.jsonl").write_bytes(b"\xff\x00 cut")
    model = SimpleNamespace(class_shares=np.array([0.6, 0.4]), maps=np.zeros((2, 32, 32, 32)))
    monkeypatch.setattr(FakeState, "models", (model,), raising=False)
    list(resume_run(folder))
    assert (folder / "initial_model.mrc").read_bytes() == whole


def test_a_second_run_in_the_same_folder_is_told_who_runs(dataset, tmp_path):
    folder = tmp_path / "run"
    reports = start_run(dataset, folder, SETTINGS)
    next(reports)
    words = rf"in use: a run is going on in process {os.getpid()} on this machine, since 20"
    for start in (
        lambda: resume_run(folder),
        lambda: start_run(dataset, folder, SETTINGS),
        lambda: start_run(dataset, folder, SETTINGS, overwrite=True),
    ):
        with pytest.raises(RunFolderError, match=words):
            start()
    assert [report.iteration for report in reports] == [2, 3, 4, 5]
    assert not (folder / "run.lock").exists()


def test_a_run_that_lost_its_lock_ends_without_writing(dataset, tmp_path):
    folder = tmp_path / "run"
    reports = start_run(dataset, folder, SETTINGS)
    next(reports)
    before = (folder / "checkpoint.npz").read_bytes()
    (folder / "run.lock").unlink()
    other = RunLock.acquire(folder)
    with pytest.raises(RunFolderError, match="was taken over by process"):
        next(reports)
    assert (folder / "checkpoint.npz").read_bytes() == before
    assert (folder / "run.lock").is_file()
    other.release()


def test_a_run_is_overwritten_only_if_its_particles_stay(dataset, tmp_path):
    folder = tmp_path / "run"
    list(start_run(dataset, folder, SETTINGS))
    with pytest.raises(SettingsError, match=r"is an output of the run .* which would be deleted"):
        start_run(folder / "run_it005_data.star", folder, SETTINGS, overwrite=True)
    short = SETTINGS.with_changes(iterations=3)
    list(start_run(dataset, folder, short, overwrite=True))
    assert not (folder / "run_it005_data.star").exists()
    assert RunFolder(folder).outcome() == "SUCCESS"


def test_what_killed_processes_left_is_removed_at_the_next_start(dataset, tmp_path):
    folder = tmp_path / "run"
    list(start_run(dataset, folder, SETTINGS, stop=stopping_after(1, folder)))
    machine = machine_identity()[:8]
    ended = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"],
                           capture_output=True, check=True)  # fmt: skip
    left = [
        folder / place / f".it009.{machine}-{int(ended.stdout)}-3.tmp.npz"
        for place in ("", "pictures", "history")
    ]
    in_use = folder / f".map.{machine}-{os.getppid()}-3.tmp.mrc"
    of_the_user = folder / ".notes.tmp"
    for path in (*left, in_use, of_the_user):
        path.touch()
    list(resume_run(folder))
    assert not any(path.exists() for path in left)
    assert in_use.exists()
    assert of_the_user.exists()


def reading_engine(change):
    """Return an engine that reads all images in each iteration, and a change after the first."""

    def reconstruct(source, particles, settings, **options):
        for report in fake_reconstruct(source, particles, settings, **options):
            for batch in source.batches([np.arange(len(particles))]):
                assert np.isfinite(batch.images).all()
                assert batch.images.std((1, 2)).all()
            yield report
            change()

    return reconstruct


def test_images_that_become_not_finite_during_a_run_are_left_out(
    own_dataset, tmp_path, monkeypatch
):
    monkeypatch.setattr(
        run_module, "bytes_to_keep", lambda: 0
    )  # images are read in every iteration
    engine = reading_engine(lambda: spoil(own_dataset, 4))
    monkeypatch.setattr(run_module, "reconstruct", engine)
    list(start_run(own_dataset, tmp_path / "run", SETTINGS.with_changes(max_excluded=0.1)))
    assert RunFolder(tmp_path / "run").outcome() == "SUCCESS"
    assert "has become constant or not finite" in (tmp_path / "run" / "log.txt").read_text()


def test_a_stack_that_was_replaced_by_one_of_the_same_size_is_not_resumed(own_dataset, tmp_path):
    folder, stack = tmp_path / "run", own_dataset.with_name("particles.mrcs")
    list(start_run(own_dataset, folder, SETTINGS, stop=stopping_after(1, folder)))
    whole = stack.read_bytes()
    with mrcfile.open(stack, "r+") as file:
        file.data[:] = file.data[::-1].copy()
    with pytest.raises(StackError, match="is not the image that was checked"):
        resume_run(folder)
    stack.write_bytes(whole)
    assert [report.iteration for report in resume_run(folder)] == [2, 3, 4, 5]


@pytest.mark.parametrize("damage", [b"cut", None])
def test_a_run_is_resumed_without_its_checksums(own_dataset, tmp_path, damage, caplog):
    folder = tmp_path / "run"
    list(start_run(own_dataset, folder, SETTINGS, stop=stopping_after(1, folder)))
    if damage:
        (folder / "images.npz").write_bytes(damage)
    else:
        (folder / "images.npz").unlink()
    assert len(list(resume_run(folder))) == 4
    assert "the images are not compared with those checked" in caplog.text


def test_a_state_that_is_not_finite_is_not_written(dataset, tmp_path, monkeypatch):
    def broken(*args, **kwargs):
        for report in fake_reconstruct(*args, **kwargs):
            arrays = report.state.to_arrays()
            if report.iteration == 3:
                arrays["models.0.maps"] = np.array([np.nan])
            state = SimpleNamespace(to_arrays=lambda arrays=arrays: arrays, searches_to_come=0)
            yield dataclasses.replace(report, state=state)

    monkeypatch.setattr(run_module, "reconstruct", broken)
    with pytest.raises(
        RunFolderError, match=r"iteration 3 gave values of models\.0\.maps that are"
    ):
        list(start_run(dataset, tmp_path / "run", SETTINGS))
    assert RunFolder(tmp_path / "run").read_checkpoint()[0] == 2


def test_a_box_that_is_too_small_is_refused_before_the_start(tmp_path):
    settings = SimulationSettings(number=4, box_size=12, pixel_size=8.0)
    phantom = make_phantom(diameter=60.0)
    star = write_dataset(tmp_path, simulate_particles(phantom, settings), phantom)
    with pytest.raises(StackError, match="a box of 12 pixels of 8 Å; expected at least 16"):
        start_run(star, tmp_path / "run", SETTINGS.with_changes(mask_diameter=80.0))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", ["two\nlines", 'a "quote"', os.fsdecode(b"\xff")])
def test_a_name_that_a_star_file_cannot_hold_is_refused_at_once(dataset, tmp_path, name):
    with pytest.raises(SettingsError, match="expected a path that STAR files can hold"):
        start_run(dataset, tmp_path / name, SETTINGS)
    assert not (tmp_path / name).exists()


def test_a_relative_scratch_folder_is_kept_absolute(dataset, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    list(start_run(dataset, tmp_path / "run", SETTINGS.with_changes(scratch="fast")))
    assert RunFolder(tmp_path / "run").read_record().settings.scratch == str(tmp_path / "fast")
