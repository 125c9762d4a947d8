import errno
import json
import os
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from fake_runs import make_record, make_report

from napari_ini3d.errors import RunFolderError
from napari_ini3d.io import machine_identity
from napari_ini3d.runs import folder as folder_module
from napari_ini3d.runs.commands import resume_command
from napari_ini3d.runs.folder import RunFolder
from napari_ini3d.runs.history import write_history
from napari_ini3d.runs.lock import RunOwner
from napari_ini3d.runs.output_list import begin_list
from napari_ini3d.runs.summary import make_pictures
from napari_ini3d.settings import STORED_VERSION, InitialModelSettings


@pytest.fixture
def folder(tmp_path):
    return RunFolder.create(tmp_path / "run")


RECORD = make_record(
    excluded=(3, 7),
    mask_estimated=True,
    settings=InitialModelSettings(mask_diameter=130.0, angular_step=7.5, scratch="/tmp"),
)


def names(folder):
    return sorted(p.name for p in folder.path.iterdir())


def test_the_record_of_a_run_is_read_as_it_was_written(folder):
    folder.write_record(RECORD)
    assert folder.read_record() == RECORD


def test_a_new_folder_is_made_with_its_parents(tmp_path):
    assert RunFolder.create(tmp_path / "a" / "b").path.is_dir()


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize(
    "name", ["particles.star", "settings.json", "progress.jsonl", "report.html", "job.star"]
)
def test_a_folder_with_files_of_others_is_refused(tmp_path, name, overwrite):
    (tmp_path / name).write_text("mine")
    with pytest.raises(RunFolderError, match=rf"is not empty \(it has {name}\).*another one"):
        RunFolder.create(tmp_path, overwrite=overwrite)
    assert (tmp_path / name).read_text() == "mine"


def test_a_folder_with_what_desktops_write_is_empty(tmp_path):
    (tmp_path / ".DS_Store").touch()
    assert RunFolder.create(tmp_path).path == tmp_path


@pytest.mark.parametrize("name", ["run_it010_class001.mrc", "initial_model.mrc"])
def test_a_folder_with_a_run_is_refused_with_the_alternatives(folder, name):
    folder.write_record(RECORD)
    (folder.path / name).touch()
    with pytest.raises(RunFolderError, match=r"holds a run.*ini3d resume.*another.*--overwrite"):
        RunFolder.create(folder.path)
    assert folder.read_record() == RECORD


def test_overwriting_deletes_what_the_run_wrote_and_nothing_else(folder):
    folder.write_record(RECORD)
    folder.append_progress({"iteration": 1})
    folder.write_checkpoint({"x": np.arange(3)}, 1, keep=True)
    for name in ("report.html", "run_it002_class001.mrc", "notes.txt"):
        (folder.path / name).write_text("mine")
    RunFolder.create(folder.path, overwrite=True)
    assert set(names(folder)) == {
        "report.html", "run_it002_class001.mrc", "notes.txt", "outputs.txt", "pictures"
    }  # fmt: skip


def test_a_run_that_was_killed_before_its_record_was_written_does_not_block_the_folder(folder):
    folder.claim(folder.excluded_path)
    folder.excluded_path.touch()
    (folder.path / "notes.txt").touch()
    RunFolder.create(folder.path)
    assert names(folder) == ["notes.txt", "outputs.txt", "pictures"]


def test_a_file_of_the_user_is_renamed_before_its_name_is_used(folder, caplog):
    folder.write_record(RECORD)
    for text in ("first", "second"):
        folder.report_path.write_text(text)
        folder.claim(folder.report_path)
        folder.remove_outputs(folder.report_path)
    kept = [folder.path / name for name in ("report.kept.html", "report.kept2.html")]
    assert [path.read_text() for path in kept] == ["first", "second"]
    assert "was not written by this run; it is kept as report.kept.html" in caplog.text


def test_a_line_of_the_list_of_outputs_that_was_cut_does_not_spoil_the_next(folder):
    with (folder.path / "outputs.txt").open("a") as file:
        file.write("run_it001_cla")
    folder.append_progress({"iteration": 1})
    assert folder.progress_path in folder.outputs()


def test_a_file_as_output_is_refused(tmp_path):
    path = tmp_path / "out"
    path.touch()
    with pytest.raises(RunFolderError, match="is a file; give a folder"):
        RunFolder.create(path)


def test_a_file_in_the_path_of_the_output_is_refused(tmp_path):
    (tmp_path / "out").touch()
    with pytest.raises(RunFolderError, match=r"no permission|part of the path is a file"):
        RunFolder.create(tmp_path / "out" / "run")


def test_an_output_without_permission_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(RunFolderError, match=f"no permission to write in {tmp_path}"):
        RunFolder.create(tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_too_little_space_is_reported_before_the_folder_is_created(tmp_path):
    output = tmp_path / "deep" / "run"
    with pytest.raises(RunFolderError, match=r"\d MB free; an iteration needs about 10{12}\.0 MB"):
        RunFolder.check_space(output, 10**18)
    assert not (tmp_path / "deep").exists()


def test_the_command_to_resume_is_quoted_for_the_shell():
    assert resume_command(Path("a b")) == "ini3d resume 'a b'"


def test_a_full_disk_keeps_the_old_checkpoint_and_is_explained(folder, monkeypatch):
    folder.write_checkpoint({"x": np.arange(3)}, 1, keep=False)

    def fail(*args, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(np, "savez", fail)
    with pytest.raises(RunFolderError, match="no space"):
        folder.write_checkpoint({"x": np.arange(4)}, 2, keep=False)
    assert folder.read_checkpoint()[0] == 1
    assert not [name for name in names(folder) if ".tmp" in name]


def test_opening_a_folder_without_a_run_is_refused(tmp_path):
    with pytest.raises(RunFolderError, match=r"has no settings\.json"):
        RunFolder.open(tmp_path)
    with pytest.raises(RunFolderError, match="is not a folder"):
        RunFolder.open(tmp_path / "nowhere")


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"settings": {"no_such_setting": 1}, "excluded": []}', "[" * 99999]
)
def test_settings_that_cannot_be_read_are_refused(folder, text):
    folder.settings_path.write_text(text)
    with pytest.raises(RunFolderError, match=r"settings\.json cannot be used"):
        folder.read_record()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("particles", 3),
        ("n_particles", -1),
        ("n_particles", 1.5),
        ("excluded", [1, "2"]),
        ("excluded", [999]),
        ("mask_estimated", 1),
        ("working_pixel_size", float("nan")),
        ("settings.classes", "3"),
        ("settings.classes", True),
        ("settings.mask_diameter", "wide"),
        ("settings.iterations", 1e9),
        ("settings.seed", -5),
    ],
)
def test_a_record_with_values_of_another_type_or_range_is_refused(folder, name, value):
    folder.write_record(RECORD)
    values = json.loads(folder.settings_path.read_text())
    table = values["settings"] if "." in name else values
    table[name.rpartition(".")[2]] = value
    folder.settings_path.write_text(json.dumps(values))
    with pytest.raises(
        RunFolderError, match=r"settings\.json cannot be used .*" + name.split(".")[-1]
    ):
        folder.read_record()


def test_files_are_named_as_in_relion(folder):
    assert folder.class_map_path(10, 0).name == "run_it010_class001.mrc"
    assert folder.iteration_path(10, "data.star").name == "run_it010_data.star"
    assert folder.class_map_path(1000, 11).name == "run_it1000_class012.mrc"


def test_there_is_one_marker_at_a_time(folder):
    assert folder.outcome() is None
    folder.mark("ABORTED")
    folder.mark("SUCCESS")
    assert folder.outcome() == "SUCCESS"
    assert names(folder) == ["RELION_JOB_EXIT_SUCCESS", "outputs.txt", "pictures"]
    folder.clear_marks()
    assert folder.outcome() is None


def test_a_checkpoint_is_read_bit_for_bit(folder):
    rng = np.random.default_rng(0)
    arrays = {
        "a/moment": (rng.normal(size=(3, 4)) + 1j * rng.normal(size=(3, 4))).astype(np.complex64),
        "nan": np.array([np.nan, -0.0, np.inf]),
        "text": np.array("search"),
        "empty": np.zeros((0, 3), np.int32),
    }
    folder.write_checkpoint(arrays, 7, keep=False)
    iteration, found = folder.read_checkpoint()
    assert iteration == 7
    assert found.keys() == arrays.keys()
    for name, array in arrays.items():
        assert (found[name].dtype, found[name].shape) == (array.dtype, array.shape)
        assert found[name].tobytes() == array.tobytes()


def test_kept_checkpoints_stay_when_later_ones_are_written(folder):
    for iteration in (1, 2, 3):
        folder.write_checkpoint({"x": np.array(iteration)}, iteration, keep=iteration == 2)
    assert folder.written_iterations() == [2]
    assert folder.read_checkpoint(2)[1]["x"] == 2
    assert folder.read_checkpoint()[1]["x"] == 3


def test_without_hard_links_a_kept_checkpoint_is_a_copy(folder, monkeypatch):
    def refuse(*args):
        raise OSError(errno.EPERM, "no links here")

    monkeypatch.setattr(os, "link", refuse)
    folder.write_checkpoint({"x": np.array(5)}, 5, keep=True)
    assert folder.read_checkpoint(5)[1]["x"] == 5


def test_an_iteration_that_was_not_written_is_refused_with_a_list_of_the_written_ones(folder):
    for iteration in (10, 20):
        folder.write_checkpoint({"x": np.array(0)}, iteration, keep=True)
    with pytest.raises(RunFolderError, match=r"no state of iteration 15; choose one of: 10, 20"):
        folder.read_checkpoint(15)


def test_a_run_without_a_checkpoint_cannot_be_resumed(folder):
    with pytest.raises(RunFolderError, match="ended before its first iteration"):
        folder.read_checkpoint()


@pytest.mark.parametrize("size", [0, 100])
def test_a_truncated_checkpoint_is_refused(folder, size):
    folder.write_checkpoint({"x": np.arange(1000)}, 10, keep=True)
    folder.checkpoint_path.unlink()
    folder.checkpoint_path.write_bytes(folder.iteration_path(10, "state.npz").read_bytes()[:size])
    with pytest.raises(RunFolderError, match=r"cannot be read .*--from-iteration.*: 10"):
        folder.read_checkpoint()


@pytest.mark.parametrize("text", [b"\xff\xfe\n", b"[2]\n", b'{"iteration": "x"}\n', b"[" * 9999])
def test_damaged_lines_of_progress_are_said_and_left_out(folder, text, caplog):
    folder.append_progress({"iteration": 1})
    with folder.progress_path.open("ab") as file:
        file.write(text)
    assert folder.read_progress() == [{"iteration": 1}]
    assert "line 2 is damaged" in caplog.text


def test_damaged_pictures_are_said_and_left_out(folder, caplog):
    folder.write_pictures(1, make_pictures(make_report(1)))
    assert folder.read_pictures(1) is not None
    folder.write_pictures(2, {"slices": np.zeros(3)})
    path = folder.pictures_path / "it003.npz"
    path.write_bytes((folder.pictures_path / "it001.npz").read_bytes()[:300])
    assert folder.read_pictures(2) is folder.read_pictures(3) is None
    assert "it002.npz is damaged" in caplog.text
    assert "it003.npz is damaged" in caplog.text


def test_the_checkpoint_before_is_used_if_the_last_one_is_damaged(folder, caplog):
    for iteration in (1, 2, 3):
        folder.write_checkpoint({"x": np.array(iteration)}, iteration, keep=False)
    folder.checkpoint_path.write_bytes(folder.checkpoint_path.read_bytes()[:-40])
    iteration, arrays = folder.read_checkpoint()
    assert iteration == arrays["x"] == 2
    assert "continues from the one before, of iteration 2" in caplog.text


def test_the_checkpoint_before_is_used_if_the_last_one_is_not_accepted(folder):
    for iteration in (1, 2, 3):
        folder.write_checkpoint({"x": np.array(iteration)}, iteration, keep=False)

    def accept(arrays):
        if arrays["x"] == 3:
            raise ValueError("not this one")

    assert folder.read_checkpoint(accept=accept)[0] == 2


def test_progress_is_read_as_it_was_appended(folder):
    lines = [{"iteration": i, "resolution": [40.0, None]} for i in (1, 2)]
    for line in lines:
        folder.append_progress(line)
    assert folder.read_progress() == lines


def test_every_line_of_progress_has_the_version_of_its_format(folder):
    for iteration in (1, 2, 3):
        folder.append_progress({"iteration": iteration})
    folder.forget_after(2)
    lines = [json.loads(line) for line in folder.progress_path.read_text().splitlines()]
    assert lines == [{"version": 2, "iteration": 1}, {"version": 2, "iteration": 2}]


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ('{"iteration": 2}', "no version number"),
        ('{"version": 1, "iteration": 2}', "version 1"),
        ('{"version": 3, "iteration": 2}', "version 3"),
    ],
)
def test_progress_of_another_version_is_refused_with_the_way_out(folder, line, found):
    folder.append_progress({"iteration": 1})
    with folder.progress_path.open("a") as file:
        file.write(f"{line}\n")
    words = rf"progress\.jsonl cannot be used: line 2 has {found}; expected version 2; open the run"
    with pytest.raises(RunFolderError, match=words):
        folder.read_progress()


def test_a_line_that_was_truncated_by_a_crash_is_skipped(folder, caplog):
    folder.append_progress({"iteration": 1})
    with folder.progress_path.open("a") as file:
        file.write('{"iteration": 2, "resol')
    assert folder.read_progress() == [{"iteration": 1}]
    assert "progress.jsonl: line 2 is damaged; it is ignored" in caplog.text


def test_iterations_after_the_one_resumed_from_are_deleted(folder):
    for iteration in (1, 2, 3):
        folder.append_progress({"iteration": iteration})
        folder.write_pictures(iteration, make_pictures(make_report(iteration)))
    folder.forget_after(2)
    folder.append_progress({"iteration": 3, "again": True})
    assert [line["iteration"] for line in folder.read_progress()] == [1, 2, 3]
    assert folder.read_progress()[-1]["again"]
    assert folder.read_pictures(2) is not None
    assert folder.read_pictures(3) is None


def test_numbers_that_json_cannot_represent_are_refused(folder):
    with pytest.raises(ValueError, match="not JSON compliant"):
        folder.append_progress({"resolution": float("nan")})


def test_settings_are_written_as_json(folder):
    folder.write_record(RECORD)
    data = json.loads(folder.settings_path.read_text())
    assert data["settings"]["mask_diameter"] == 130.0
    assert data["command"].startswith("ini3d run")


def test_a_run_that_failed_before_its_first_iteration_does_not_block_the_folder(folder):
    folder.write_record(RECORD)
    with pytest.raises(RunFolderError, match="already holds a run"):
        RunFolder.create(folder.path)  # it may be in progress
    folder.append_progress({"iteration": 1})
    folder.mark("FAILURE")
    again = RunFolder.create(folder.path)
    assert (again.outcome(), again.read_progress()) == (None, [])


def test_settings_of_the_first_version_keep_their_regularisation(folder):
    folder.write_record(RECORD)
    values = json.loads(folder.settings_path.read_text())
    assert values.pop("settings_version") == STORED_VERSION
    values["settings"]["tau2_fudge"] = 8.0
    folder.settings_path.write_text(json.dumps(values))
    assert folder.read_record().settings.tau2_fudge == 2.0


@pytest.mark.parametrize("made", [["lock"], ["lock", "list"], ["lock", "list", "pictures"]])
def test_a_folder_that_was_being_made_when_its_run_was_killed_is_free(tmp_path, made):
    machine = machine_identity()[:8]
    (tmp_path / f".run.lock.{machine}-{2**30}-1.tmp").write_text("{")
    (tmp_path / f".outputs.{machine}-{2**30}-2.tmp.txt").touch()
    owner = {**asdict(RunOwner.this_process()), "pid": 2**30}
    (tmp_path / "run.lock").write_text(json.dumps(owner))
    if "list" in made:
        begin_list(tmp_path)
    if "pictures" in made:
        (tmp_path / "pictures").mkdir()
    RunFolder.create(tmp_path)
    assert {"outputs.txt", "pictures"} <= set(names(RunFolder(tmp_path)))


def test_the_list_of_outputs_does_not_replace_a_file_of_the_user(tmp_path):
    (tmp_path / "outputs.txt").write_text("mine")
    begin_list(tmp_path)
    assert (tmp_path / "outputs.txt").read_text() == "mine"


def test_overwriting_deletes_nothing_outside_the_folder(folder, tmp_path):
    outside = tmp_path / "precious.txt"
    outside.touch()
    with (folder.path / "outputs.txt").open("a") as file:
        file.write(f"../precious.txt\n{outside}\npictures/../../precious.txt\n")
    folder.write_record(RECORD)
    RunFolder.create(folder.path, overwrite=True)
    assert outside.exists()


def test_a_link_of_the_user_that_points_nowhere_is_renamed_too(folder):
    (folder.path / "report.html").symlink_to("nowhere")
    folder.claim(folder.report_path)
    assert os.readlink(folder.path / "report.kept.html") == "nowhere"


def test_a_run_that_is_killed_between_the_kept_state_and_the_checkpoint_does_the_iteration_again(
    folder, monkeypatch
):
    folder.write_checkpoint({"a": np.ones(2)}, 1, keep=False)
    link = folder_module.copy_or_link

    def killed(source, target, **options):
        if target == folder.checkpoint_path:
            raise KeyboardInterrupt
        link(source, target, **options)

    monkeypatch.setattr(folder_module, "copy_or_link", killed)
    with pytest.raises(KeyboardInterrupt):
        folder.write_checkpoint({"a": np.zeros(2)}, 2, keep=True)
    assert folder.read_checkpoint()[0] == 1
    assert folder.written_iterations() == [2]


def test_only_what_a_run_is_resumed_from_is_flushed_to_disk(folder, monkeypatch):
    folder.pictures_path.mkdir(exist_ok=True)
    folder.write_checkpoint({"a": np.ones(2)}, 1, keep=False)
    flushed, flush = [], os.fsync

    def record(descriptor):
        flushed.append(descriptor)
        flush(descriptor)

    monkeypatch.setattr(os, "fsync", record)
    folder.write_pictures(2, {"a": np.ones(2)})
    write_history(folder, 2, np.ones((1, 4, 4, 4), np.float32), 4.0)
    assert flushed == []
    folder.append_progress({"iteration": 2})
    folder.write_checkpoint({"a": np.zeros(2)}, 2, keep=False)
    assert len(flushed) == 3  # the progress, the checkpoint, the folder
