from dataclasses import fields
from typing import get_args

import pytest

from napari_ini3d._setting import FieldInfo, Group
from napari_ini3d.errors import SettingsError
from napari_ini3d.settings import (
    STORED_VERSION,
    InitialModelSettings,
    format_setting,
    from_stored,
)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("mask_diameter", -5.0),
        ("mask_diameter", float("nan")),
        ("classes", 0),
        ("iterations", 1),
        ("max_excluded", 1.5),
        ("angular_step", 10.0),
        ("angular_step", None),
        ("angular_step", "7.5"),
        ("padding_factor", 3),
        ("threads", -1),
    ],
)
def test_a_setting_out_of_range_is_refused_by_name_and_value(name, value):
    with pytest.raises(SettingsError, match=name):
        InitialModelSettings(**{name: value})


def test_the_finest_resolution_may_not_be_coarser_than_the_first():
    with pytest.raises(SettingsError, match="coarser"):
        InitialModelSettings(initial_resolution=30.0, max_resolution=40.0)


def test_changes_are_checked_again():
    with pytest.raises(SettingsError, match="starts"):
        InitialModelSettings().with_changes(starts=0)


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("mask_diameter", None, "automatic"),
        ("mask_diameter", 130.0, "130 Å"),
        ("scratch", None, "none"),
        ("scratch", "/ssd", "/ssd"),
        ("ctf", False, "no"),
        ("classes", 3, "3"),
    ],
)
def test_settings_are_written_with_their_units(name, value, text):
    assert format_setting(name, value) == text


def test_every_setting_has_help_and_a_group():
    for field in fields(InitialModelSettings):
        info = field.metadata["info"]
        assert isinstance(info, FieldInfo)
        assert info.help.endswith(".")
        assert info.group in get_args(Group)


@pytest.mark.parametrize("precision", ["double", "TF32", ""])
def test_an_unknown_precision_is_refused_with_the_choices(precision):
    with pytest.raises(SettingsError, match="choose one of float32, tf32, fp16, bf16"):
        InitialModelSettings(precision=precision)


@pytest.mark.parametrize("precision", ["tf32", "fp16", "bf16"])
def test_a_cpu_refuses_precisions_that_only_gpus_have(precision):
    with pytest.raises(SettingsError, match=f"precision is {precision}, but a CPU"):
        InitialModelSettings(precision=precision, device="cpu")
    for device in ("auto", "gpu", "gpu:1"):
        assert InitialModelSettings(precision=precision, device=device).precision == precision


def test_stored_settings_of_the_first_version_keep_their_regularisation():
    stored = {"tau2_fudge": 8.0, "classes": 2}
    assert from_stored(stored, None) == {"tau2_fudge": 2.0, "classes": 2}
    assert from_stored(stored, STORED_VERSION) == stored
    assert stored["tau2_fudge"] == 8.0


def test_steps_far_finer_than_the_range_of_the_shifts_are_refused_with_their_number():
    with pytest.raises(SettingsError, match="which makes about 282743 shifts; at most 4000"):
        InitialModelSettings(offset_step=0.1, offset_range=30.0)
    InitialModelSettings(offset_step=1.0, offset_range=30.0)
