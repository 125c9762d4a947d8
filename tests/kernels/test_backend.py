import logging
import os
import sys

import fake_cupy
import pytest

from napari_ini3d.errors import DeviceError, SettingsError
from napari_ini3d.kernels import cpu
from napari_ini3d.kernels.backend import (
    available_threads,
    check_device,
    choose_backend,
    list_gpus,
)


@pytest.fixture
def no_cupy(monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", None)
    fake_cupy.forget_gpu_module(monkeypatch)


@pytest.fixture
def machine(monkeypatch) -> fake_cupy.Machine:
    machine = fake_cupy.Machine(cards=3)
    fake_cupy.install(monkeypatch, machine)
    return machine


@pytest.mark.parametrize("device", ["auto", "cpu"])
def test_without_cupy_it_is_the_cpu(no_cupy, device):
    backend = choose_backend(device)
    assert backend.name == "cpu"
    assert backend.kernels is cpu
    assert not backend.is_gpu
    assert backend.devices == (backend,)


def test_auto_says_what_it_chose_and_why(no_cupy, caplog):
    with caplog.at_level(logging.INFO, "napari_ini3d"):
        choose_backend("auto")
    (line,) = caplog.messages
    assert "computing on the CPU, since CuPy is not installed" in line


def test_auto_without_a_gpu_says_that_the_precision_is_not_used(no_cupy, caplog):
    choose_backend("auto", precision="tf32")
    assert "precision tf32 is for GPUs" in caplog.text


@pytest.mark.parametrize("device", ["gpu", "gpu:1", "gpu:0,1"])
def test_without_cupy_a_gpu_is_an_error_that_says_what_to_install(no_cupy, device):
    message = rf"device is '{device}', but CuPy .* napari-ini3d\[cuda12\].*use auto or cpu"
    with pytest.raises(DeviceError, match=message):
        choose_backend(device)


@pytest.mark.parametrize(
    "device", ["", "cuda", "cpu:1", "gpu:one", "CPU", "auto:0", "gpu:", "gpu:0,", "gpu:-1"]
)
def test_unknown_devices_are_refused_with_the_choices(device):
    with pytest.raises(SettingsError, match="choose auto, cpu, gpu"):
        choose_backend(device)


def test_a_card_named_twice_is_refused():
    with pytest.raises(SettingsError, match="twice"):
        choose_backend("gpu:1,1")


@pytest.mark.parametrize(
    ("device", "cards"),
    [("auto", [0, 1, 2]), ("gpu", [0, 1, 2]), ("gpu:1", [1]), ("gpu:2,0", [2, 0])],
)
def test_cards_are_given_as_they_are_asked_for(machine, device, cards):
    backend = choose_backend(device)
    assert [card.name for card in backend.devices] == [f"gpu:{i} Card {i}" for i in cards]
    assert all(card.is_gpu for card in backend.devices)


def test_the_cards_that_are_used_are_named_in_the_log(machine, caplog):
    with caplog.at_level(logging.INFO, "napari_ini3d"):
        choose_backend("gpu:0,2")
    assert caplog.messages == ["computing on gpu:0 Card 0, gpu:2 Card 2"]


def test_a_card_beyond_the_last_is_an_error_that_lists_what_is_there(machine):
    with pytest.raises(DeviceError, match=r"no card 3; choose of gpu:0 \(Card 0\), gpu:1"):
        choose_backend("gpu:0,3")


@pytest.mark.parametrize("device", ["gpu:0,3", "gpu:one", "gpu:7"])
def test_a_form_refuses_the_devices_that_a_run_would_in_the_same_words(machine, device):
    said = []
    for refuse in (choose_backend, check_device):
        with pytest.raises((DeviceError, SettingsError)) as error:
            refuse(device)
        said.append((type(error.value), str(error.value)))
    assert said[0] == said[1]


def test_a_device_is_checked_without_compiling_for_it(machine, monkeypatch):
    import napari_ini3d.kernels.gpu as gpu

    monkeypatch.setattr(gpu, "make_backend", lambda *_, **__: pytest.fail("compiled"))
    for device in ("auto", "cpu", "gpu", "gpu:1", "gpu:0,2"):
        check_device(device)


@pytest.mark.parametrize("fault", ["no card", "no driver"])
def test_a_machine_without_card_or_driver_says_so(machine, fault):
    machine.devices, machine.no_driver = 0, fault == "no driver"
    with pytest.raises(DeviceError, match=r"no NVIDIA card or driver answers.*nvidia-smi"):
        choose_backend("gpu")
    assert choose_backend("auto").name == "cpu"
    assert list_gpus() == []


def test_cards_are_listed_with_their_memory(machine):
    machine.free_bytes = 123
    found = [(gpu.index, gpu.name, gpu.free_bytes, gpu.total_bytes) for gpu in list_gpus()]
    assert found == [(i, f"Card {i}", 123, 8 << 30) for i in range(3)]


def test_without_cupy_no_cards_are_listed(no_cupy):
    assert list_gpus() == []


def test_threads_asked_for_are_given():
    assert available_threads(3) == 3


def test_zero_threads_means_all_this_process_may_use():
    assert 1 <= available_threads(0) <= (os.cpu_count() or 1)


def test_the_memory_of_this_machine_is_more_than_this_test_takes():
    device = choose_backend("cpu").device
    assert device.free_bytes() > 1 << 20
    device.release()
    device.synchronise()
