"""Fixtures of all tests, and how several processes share the tests."""

from pathlib import Path

import pytest

_TESTS = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let one process run all tests of the plugin, which share a display; a file is not split."""
    for item in items:
        path = item.path.relative_to(_TESTS)
        group = "plugin" if path.parts[0] == "plugin" else path.as_posix()
        item.add_marker(pytest.mark.xdist_group(group))


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
