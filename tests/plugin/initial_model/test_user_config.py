import json

import pytest

from napari_ini3d.errors import InputError, SettingsError
from napari_ini3d.plugin.initial_model.user_config import (
    FormState,
    config_folder,
    forget_run,
    known_runs,
    load_form_state,
    recorded_cluster,
    remember_run,
    remember_settings,
    remembered_cluster,
    remembered_settings,
    save_form_state,
)
from napari_ini3d.settings import InitialModelSettings

UNUSUAL = InitialModelSettings(mask_diameter=123.4, classes=3, ctf=False, symmetry="D2")


@pytest.fixture(autouse=True)
def own_config(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setattr(
        "napari_ini3d.plugin.initial_model.user_config.config_folder", lambda: tmp_path / "config"
    )


def test_the_config_folder_is_named_after_the_plugin():
    assert config_folder().name == "napari-ini3d"


def test_a_saved_form_is_loaded_unchanged(tmp_path):
    choice = FormState("/a b/particles.star", "out", UNUSUAL, "local:4")
    save_form_state(tmp_path / "x.json", choice)
    assert load_form_state(tmp_path / "x.json") == choice


def test_the_settings_of_a_run_can_be_loaded_and_an_estimated_mask_is_estimated_again(tmp_path):
    record = {"particles": "/p.star", "mask_estimated": True, "settings": {"mask_diameter": 99.0}}
    (tmp_path / "settings.json").write_text(json.dumps(record))
    found = load_form_state(tmp_path / "settings.json")
    assert found == FormState("/p.star", "", InitialModelSettings())


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"settings": 3}', "\x00"])
def test_a_file_without_settings_is_refused(tmp_path, text):
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(InputError, match=r"x\.json has no settings"):
        load_form_state(tmp_path / "x.json")


def test_a_setting_out_of_range_is_refused(tmp_path):
    (tmp_path / "x.json").write_text('{"settings": {"classes": 0}}')
    with pytest.raises(SettingsError, match="classes is 0"):
        load_form_state(tmp_path / "x.json")


def test_settings_are_remembered_but_not_the_mask_of_other_particles():
    defaults = InitialModelSettings(threads=2)
    assert remembered_settings(defaults) == defaults
    remember_settings(UNUSUAL)
    expected = UNUSUAL.with_changes(mask_diameter=None, threads=2)
    assert remembered_settings(defaults) == expected


@pytest.mark.parametrize("text", ["{", "[1]", '{"classes": 0}', '{"no_such_setting": 1}'])
def test_unusable_saved_settings_are_ignored(tmp_path, text):
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "settings.json").write_text(text)
    assert remembered_settings(InitialModelSettings()) == InitialModelSettings()


def test_runs_are_listed_once_the_newest_first(tmp_path):
    for name in ("a", "b", "a"):
        remember_run(tmp_path / name)
    assert known_runs() == [tmp_path / "a", tmp_path / "b"]
    forget_run(tmp_path / "a")
    assert known_runs() == [tmp_path / "b"]


def test_a_config_folder_that_cannot_be_written_is_logged(tmp_path, caplog):
    (tmp_path / "config").touch()
    remember_run(tmp_path / "a")
    assert "are not remembered" in caplog.text
    assert known_runs() == []


def test_remembered_settings_of_the_first_version_keep_their_regularisation(tmp_path):
    (tmp_path / "config").mkdir(exist_ok=True)
    (tmp_path / "config" / "settings.json").write_text('{"tau2_fudge": 8.0, "classes": 2}')
    found = remembered_settings(InitialModelSettings())
    assert (found.tau2_fudge, found.classes) == (2.0, 2)


def test_the_cluster_is_remembered_with_the_settings():
    assert remembered_cluster() == ""
    remember_settings(UNUSUAL, "tcp://head:8786")
    assert remembered_cluster() == "tcp://head:8786"
    remember_settings(UNUSUAL)
    assert remembered_cluster() == ""


@pytest.mark.parametrize("text", ["[]", '{"cluster": 3}', "{"])
def test_a_damaged_cluster_is_ignored(text):
    config_folder().mkdir(parents=True)
    (config_folder() / "settings.json").write_text(text)
    assert remembered_cluster() == ""


def test_the_cluster_of_a_run_is_that_of_its_record(tmp_path):
    record = {"particles": "/p.star", "settings": {}, "cluster": "local:2"}
    (tmp_path / "settings.json").write_text(json.dumps(record))
    assert recorded_cluster(tmp_path) == "local:2"
    assert recorded_cluster(tmp_path / "no run") == ""
