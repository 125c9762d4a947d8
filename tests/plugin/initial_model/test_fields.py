"""Controls of the settings; the list of devices depends on the machine."""

import dataclasses

import pytest

from napari_ini3d.kernels.types import GpuInfo
from napari_ini3d.plugin.initial_model import fields
from napari_ini3d.settings import InitialModelSettings, setting_types

GPUS = [GpuInfo(0, "NVIDIA A", 70 * 10**9, 80 * 10**9), GpuInfo(1, "NVIDIA B", 10**9, 8 * 10**9)]


def field_of(name):
    (field,) = (f for f in dataclasses.fields(InitialModelSettings) if f.name == name)
    return fields.SettingField(field, setting_types()[name])


def offered(monkeypatch, gpus):
    monkeypatch.setattr(fields, "list_gpus", lambda: gpus)
    return fields.available_devices()


def test_gpus_are_offered_by_name_with_their_free_memory(monkeypatch):
    assert offered(monkeypatch, GPUS) == [
        ("auto: all GPUs", "auto"),
        ("cpu", "cpu"),
        ("gpu: all GPUs", "gpu"),
        ("gpu:0 NVIDIA A, 70 of 80 GB free", "gpu:0"),
        ("gpu:1 NVIDIA B, 1 of 8 GB free", "gpu:1"),
    ]
    assert offered(monkeypatch, GPUS[:1])[0] == ("auto: NVIDIA A", "auto")


def test_without_a_gpu_only_the_cpu_is_offered(monkeypatch):
    assert offered(monkeypatch, []) == [("auto: CPU", "auto"), ("cpu", "cpu")]


def test_a_device_of_another_machine_is_shown_and_kept(qapp, monkeypatch):
    monkeypatch.setattr(fields, "list_gpus", list)
    field = field_of("device")
    field.value = "gpu:0,1"
    assert field.value == "gpu:0,1"
    field.value = "auto"
    assert field.value == "auto"


@pytest.mark.parametrize("name", ["mask_diameter", "max_resolution", "offset_step", "tile_size"])
def test_an_optional_number_shows_a_word_for_automatic(qapp, name):
    field = field_of(name)
    assert field.value is None
    assert field.editor.text() == "automatic"
    field.value = 7
    assert field.value == 7
    assert field.editor.text().startswith("7")


@pytest.mark.parametrize("word", ["float32", "tf32", "fp16", "bf16"])
def test_every_precision_can_be_chosen(qapp, word):
    field = field_of("precision")
    field.value = word
    assert field.value == word
