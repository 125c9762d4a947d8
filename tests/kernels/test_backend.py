import logging
import os

import pytest

from napari_ini3d.errors import DeviceError, SettingsError
from napari_ini3d.kernels import cpu
from napari_ini3d.kernels.backend import available_threads, choose_backend


@pytest.mark.parametrize("device", ["auto", "cpu"])
def test_the_cpu_offers_every_kernel(device):
    backend = choose_backend(device)
    assert backend.name == "cpu"
    for kernel in (
        "project",
        "backproject",
        "symmetrise",
        "dense_posterior",
        "significant_rotations",
        "fine_products",
    ):
        assert getattr(backend, kernel) is getattr(cpu, kernel)


def test_auto_says_what_it_chose(caplog):
    with caplog.at_level(logging.INFO, "napari_ini3d"):
        choose_backend("auto")
    assert "CPU" in caplog.text


@pytest.mark.parametrize("device", ["gpu", "gpu:1"])
def test_a_gpu_that_is_not_there_is_an_error_that_says_why(device):
    with pytest.raises(DeviceError, match=rf"{device}.*use auto or cpu"):
        choose_backend(device)


@pytest.mark.parametrize("device", ["", "cuda", "cpu:1", "gpu:one", "CPU", "auto:0"])
def test_unknown_devices_are_refused_with_the_choices(device):
    with pytest.raises(SettingsError, match="choose auto, cpu, gpu"):
        choose_backend(device)


def test_threads_asked_for_are_given():
    assert available_threads(3) == 3


def test_zero_threads_means_all_this_process_may_use():
    assert 1 <= available_threads(0) <= (os.cpu_count() or 1)
