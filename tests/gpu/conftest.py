import fake_cupy
import pytest


@pytest.fixture
def machine(monkeypatch) -> fake_cupy.Machine:
    """A machine with one card that is not there; a test may give it more."""
    machine = fake_cupy.Machine()
    fake_cupy.install(monkeypatch, machine)
    return machine
