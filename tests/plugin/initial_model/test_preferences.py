"""Default output folders, without a window."""

import pytest

from napari_ini3d.plugin import sample_data
from napari_ini3d.plugin.initial_model import preferences


@pytest.fixture(autouse=True)
def no_preference(monkeypatch):
    monkeypatch.setattr(preferences, "read_preference", lambda *_: None)


def test_a_run_is_written_beside_its_particles(tmp_path):
    assert preferences.preferred_output(tmp_path / "particles.star") == tmp_path / "ini3d_001"


def test_a_run_on_a_sample_is_written_to_the_home_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(sample_data, "_bases", lambda: (tmp_path / "cache", tmp_path / "tmp"))
    star = tmp_path / "cache" / "D2-1" / "particles.star"
    folder = preferences.preferred_output(star)
    assert folder == tmp_path / "ini3d-samples" / "D2-1" / "ini3d_001"
    folder.mkdir(parents=True)
    assert preferences.preferred_output(star).name == "ini3d_002"
