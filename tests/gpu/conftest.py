import fake_cupy
import pytest


@pytest.fixture
def machine(monkeypatch) -> fake_cupy.Machine:
    """A machine with one emulated GPU; a test can add more."""
    machine = fake_cupy.Machine()
    fake_cupy.install(monkeypatch, machine)
    return machine
