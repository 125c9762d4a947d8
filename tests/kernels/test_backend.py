import logging
import os
import sys

import fake_cupy
import pytest

from napari_ini3d.errors import DeviceError, SettingsError
from napari_ini3d.kernels import backend as backend_module, cpu
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
    machine = fake_cupy.Machine(gpus=3)
    fake_cupy.install(monkeypatch, machine)
    return machine


@pytest.mark.parametrize("device", ["auto", "cpu"])
def test_without_cupy_it_is_the_cpu(no_cupy, device):
    backend = choose_backend(device)
    assert backend.name == "cpu"
    assert backend.kernels is cpu
    assert not backend.is_gpu
    assert backend.devices == (backend,)


def test_auto_logs_the_choice_and_the_reason(no_cupy, caplog):
    with caplog.at_level(logging.INFO, "napari_ini3d"):
        choose_backend("auto")
    (line,) = caplog.messages
    assert "computing on the CPU, since CuPy is not installed" in line


def test_auto_without_a_gpu_logs_that_the_precision_has_no_effect(no_cupy, caplog):
    choose_backend("auto", precision="tf32")
    assert "precision tf32 is for GPUs" in caplog.text


@pytest.mark.parametrize("device", ["gpu", "gpu:1", "gpu:0,1"])
def test_a_gpu_without_cupy_is_an_error_that_says_what_to_install(no_cupy, device):
    message = rf"device is '{device}', but CuPy .* napari-ini3d\[cuda12\].*use auto or cpu"
    with pytest.raises(DeviceError, match=message):
        choose_backend(device)


@pytest.mark.parametrize(
    "device", ["", "cuda", "cpu:1", "gpu:one", "CPU", "auto:0", "gpu:", "gpu:0,", "gpu:-1"]
)
def test_unknown_devices_are_refused_with_the_choices(device):
    with pytest.raises(SettingsError, match="choose auto, cpu, gpu"):
        choose_backend(device)


def test_a_gpu_named_twice_is_refused():
    with pytest.raises(SettingsError, match="twice"):
        choose_backend("gpu:1,1")


@pytest.mark.parametrize(
    ("device", "indices"),
    [("auto", [0, 1, 2]), ("gpu", [0, 1, 2]), ("gpu:1", [1]), ("gpu:2,0", [2, 0])],
)
def test_the_requested_gpus_are_used_in_the_order_given(machine, device, indices):
    backend = choose_backend(device)
    assert [gpu.name for gpu in backend.devices] == [f"gpu:{i} Emulated GPU {i}" for i in indices]
    assert all(gpu.is_gpu for gpu in backend.devices)


def test_the_gpus_in_use_are_named_in_the_log(machine, caplog):
    with caplog.at_level(logging.INFO, "napari_ini3d"):
        choose_backend("gpu:0,2")
    assert caplog.messages == ["computing on gpu:0 Emulated GPU 0, gpu:2 Emulated GPU 2"]


def test_a_gpu_that_does_not_exist_is_an_error_that_lists_those_that_do(machine):
    with pytest.raises(DeviceError, match=r"no gpu:3; choose from gpu:0 \(Emulated GPU 0\), gpu:1"):
        choose_backend("gpu:0,3")


@pytest.mark.parametrize("device", ["gpu:0,3", "gpu:one", "gpu:7"])
def test_check_device_raises_the_same_error_as_choose_backend(machine, device):
    errors = []
    for refuse in (choose_backend, check_device):
        with pytest.raises((DeviceError, SettingsError)) as error:
            refuse(device)
        errors.append((type(error.value), str(error.value)))
    assert errors[0] == errors[1]


def test_a_device_is_checked_without_compiling_for_it(machine, monkeypatch):
    import napari_ini3d.kernels.gpu as gpu

    monkeypatch.setattr(gpu, "make_backend", lambda *_, **__: pytest.fail("compiled"))
    for device in ("auto", "cpu", "gpu", "gpu:1", "gpu:0,2"):
        check_device(device)


@pytest.mark.parametrize("fault", ["no GPU", "no driver"])
def test_a_missing_gpu_or_driver_is_an_error_that_says_so(machine, fault):
    machine.devices, machine.no_driver = 0, fault == "no driver"
    with pytest.raises(DeviceError, match=r"no NVIDIA GPU or driver was found.*nvidia-smi"):
        choose_backend("gpu")
    assert choose_backend("auto").name == "cpu"
    assert list_gpus() == []


def test_gpus_are_listed_with_their_memory(machine):
    machine.free_bytes = 123
    found = [(gpu.index, gpu.name, gpu.free_bytes, gpu.total_bytes) for gpu in list_gpus()]
    assert found == [(i, f"Emulated GPU {i}", 123, 8 << 30) for i in range(3)]


def test_without_cupy_no_gpus_are_listed(no_cupy):
    assert list_gpus() == []


def test_the_requested_number_of_threads_is_used():
    assert available_threads(3) == 3


def test_zero_threads_means_all_cores_that_this_process_may_use(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {2, 3, 7}, raising=False)
    assert available_threads(0) == 3
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 12)
    assert available_threads(0) == 12
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert available_threads(0) == 1


@pytest.mark.parametrize(("found", "expected"), [(2048, 2048), (0, 0), (None, 4 << 30)])
def test_the_free_memory_of_the_cpu_is_4_gib_where_it_is_unknown(monkeypatch, found, expected):
    monkeypatch.setattr(backend_module, "free_memory", lambda: found)
    assert choose_backend("cpu").device.free_bytes() == expected
