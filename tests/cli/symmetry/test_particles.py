"""`ini3d symmetry expand` and `fold`."""

import numpy as np
import pytest
import starfile
from symmetry_commands import ANGLES, invoke, plain, poses, values, write_rotated_d2


@pytest.fixture
def star(tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("TERM", "dumb")
    write_rotated_d2(tmp_path)
    return tmp_path / "truth.star"


def test_particles_are_expanded_and_folded(star, tmp_path):
    expanded, folded = tmp_path / "expanded.star", tmp_path / "folded.star"
    found = values(invoke("expand", star, "--symmetry", "d2", "--output", expanded, "--json"))
    assert (found["group"], found["operators"], found["rows"]) == ("D2", 4, 24)
    assert found["output"] == str(expanded)
    before, after = (starfile.read(path) for path in (star, expanded))
    assert len(after["particles"]) == 24
    assert after["optics"].equals(before["optics"])
    np.testing.assert_array_equal(poses(expanded, ANGLES)[::4], poses(star, ANGLES))
    found = values(invoke("fold", expanded, "--symmetry", "D2", "--output", folded, "--json"))
    assert found["rows"] == 24
    angles = poses(folded, ANGLES).reshape(6, 4, 3)
    np.testing.assert_allclose(angles, angles[:, :1].repeat(4, 1), atol=1e-4)


def test_the_terminal_says_what_was_written(star, tmp_path):
    target = tmp_path / "out.star"
    text = plain(invoke("expand", star, "--symmetry", "D2", "--output", target).stdout)
    assert text == f"6 particles in 4 poses each (D2) Particles: {target}"
    text = plain(invoke("fold", star, "--symmetry", "D2", "--output", target).stdout)
    assert text == f"6 particles with poses in one asymmetric unit of D2 Particles: {target}"


@pytest.mark.parametrize("command", ["expand", "fold"])
def test_requests_that_make_no_sense_are_refused(star, tmp_path, command):
    def message(source, group, target):
        result = invoke(command, source, "--symmetry", group, "--output", target)
        assert result.exit_code != 0
        return plain(result.stderr)

    target = tmp_path / "out.star"
    assert f"C1 has a single asymmetric unit, so that there is nothing to {command}" in message(
        star, "C1", target
    )
    assert "unknown point group 'H3'" in message(star, "H3", target)
    assert "holds a mirror" in message(star, "C2v", target)
    assert "is read by this command" in message(star, "D2", star)
    assert "no rlnAngleRot" in message(tmp_path / "particles.star", "D2", target)
    assert "convert .cs files with ini3d convert" in message(tmp_path / "a.cs", "D2", target)
    assert not target.exists()
