"""Fixtures of all tests."""

import pytest


@pytest.fixture(autouse=True, scope="session")
def no_half_sets_of_a_fake_engine():
    """Validate runs of the real engine only: a fake one leaves no state to refine."""
    from napari_ini3d.engine import reconstruct
    from napari_ini3d.jobs import run
    from napari_ini3d.jobs.validation import wants_validation

    def wanted(settings, particles):
        return run.reconstruct is reconstruct and wants_validation(settings, particles)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run, "wants_validation", wanted)
        yield
