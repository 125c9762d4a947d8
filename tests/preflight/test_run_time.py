import pytest

from napari_ini3d.engine.schedule import ImageGeometry
from napari_ini3d.preflight import run_time
from napari_ini3d.preflight.run_time import estimate_seconds
from napari_ini3d.settings import InitialModelSettings

SETTINGS = InitialModelSettings(mask_diameter=130, threads=1)
SMALL = ImageGeometry(64, 3.4, 130.0, 2000)


@pytest.fixture(autouse=True)
def fixed_rate(monkeypatch):
    monkeypatch.setattr(run_time, "_product_rate", lambda: 1e11)


def test_more_particles_classes_and_starts_take_longer():
    usual = estimate_seconds(SMALL, SETTINGS)
    assert estimate_seconds(ImageGeometry(64, 3.4, 130.0, 20000), SETTINGS) > usual
    assert estimate_seconds(SMALL, SETTINGS.with_changes(classes=3)) > usual
    assert estimate_seconds(SMALL, SETTINGS.with_changes(starts=16)) > usual


def test_more_threads_and_fewer_iterations_take_less():
    usual = estimate_seconds(SMALL, SETTINGS)
    assert estimate_seconds(SMALL, SETTINGS.with_changes(threads=4)) < usual
    assert estimate_seconds(SMALL, SETTINGS.with_changes(iterations=10)) < usual


def test_a_slower_machine_takes_longer(monkeypatch):
    usual = estimate_seconds(SMALL, SETTINGS)
    monkeypatch.setattr(run_time, "_product_rate", lambda: 1e10)
    assert estimate_seconds(SMALL, SETTINGS) > 2 * usual
