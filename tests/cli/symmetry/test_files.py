"""`ini3d symmetry` on maps of phantoms: what is found, imposed and written."""

from dataclasses import replace

import numpy as np
import pytest
from fake_runs import make_volume
from matplotlib.image import imread
from scipy.spatial.transform import Rotation
from symmetry_commands import (
    ANGLES,
    ORIGINS,
    SHIFT,
    invoke,
    plain,
    poses,
    values,
    write_rotated_d2,
)

from napari_ini3d.fourier.resample import rotate_map
from napari_ini3d.io.mrc.maps import read_map, write_map
from napari_ini3d.simulation import make_phantom
from napari_ini3d.simulation.particles import project_phantom


@pytest.fixture(autouse=True)
def terminal(monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("TERM", "dumb")


def test_a_rotated_map_is_aligned_and_its_particles_are_seen_as_before(tmp_path):
    phantom, rotated, simulated = write_rotated_d2(tmp_path)
    result = invoke(
        "align", tmp_path / "truth.mrc", "--symmetry", "D2", "--output", tmp_path / "out.mrc",
        "--particles", tmp_path / "truth.star", "--particles-output", tmp_path / "t.star",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    on_axes = [  # the 2-folds are alike: which of them lies on z is the nearest one's
        replace(phantom, positions=phantom.positions @ rotation.T)
        for rotation in Rotation.create_group("O").as_matrix()
    ]
    aligned = read_map(tmp_path / "out.mrc").data.ravel()
    match = [np.corrcoef(aligned, p.density(32, 4.0).ravel())[0, 1] for p in on_axes]
    assert max(match) > 0.999
    rot, tilt, psi = poses(tmp_path / "t.star", ANGLES).T
    origin_x, origin_y = poses(tmp_path / "t.star", ORIGINS).T
    new = replace(
        simulated.truth, rot=rot, tilt=tilt, psi=psi, origin_x=origin_x, origin_y=origin_y
    )
    optics = simulated.particles.optics[0]
    before = project_phantom(rotated, optics, simulated.truth)
    after = project_phantom(on_axes[int(np.argmax(match))], optics, new)
    for one, other in zip(before, after, strict=True):
        assert np.corrcoef(one.ravel(), other.ravel())[0, 1] > 0.999


def test_a_real_map_is_recognised_and_one_at_the_border_is_warned_of(tmp_path):
    write_rotated_d2(tmp_path)
    assert values(invoke("detect", tmp_path / "truth.mrc", "--json"))["group"] == "D2"
    write_rotated_d2(tmp_path, shift=(32.0, 0.0, 0.0))
    result = invoke("detect", tmp_path / "truth.mrc", "--json")
    assert "warning:" in result.stderr
    assert "border" in result.stderr
    assert len(values(result)["warnings"]) == 1


@pytest.fixture
def d2(tmp_path):
    """A D2 phantom on its axes."""
    path = tmp_path / "d2.mrc"
    write_map(path, make_phantom("D2", diameter=80.0, seed=4).density(32, 4.0), 4.0)
    return path


def test_a_map_that_has_the_group_is_imposed_and_validated(d2, tmp_path):
    output, picture = tmp_path / "out.mrc", tmp_path / "p.png"
    arguments = ("impose", d2, "--symmetry", "D2", "--output", output, "--picture", picture)
    found = values(invoke(*arguments, "--json"))
    assert (found["group"], found["holds"], found["alignment"]) == ("D2", True, None)
    assert found["verdict"].startswith("D2 holds to")
    assert (found["output"], found["picture"]) == (str(output), str(picture))
    assert found["correlation"] > 0.999
    before = read_map(d2).data
    np.testing.assert_allclose(read_map(output).data, before, atol=1e-5 * before.max())
    assert imread(picture).shape[0] > 1000
    text = plain(invoke(*arguments).stdout)
    assert found["verdict"] in text
    assert f"Map: {output}" in text


def test_what_the_imposed_map_lacks_is_written_as_a_map(d2, tmp_path):
    output, difference = tmp_path / "out.mrc", tmp_path / "difference.mrc"
    result = invoke(
        "impose", d2, "--symmetry", "D2", "--output", output, "--difference", difference, "--json"
    )
    assert values(result)["difference"] == str(difference)
    lacking = read_map(d2).data - read_map(output).data
    found = read_map(difference, allow_empty=True).data
    np.testing.assert_allclose(found, lacking, atol=1e-4 * read_map(d2).data.std())


def test_a_mask_multiplies_the_imposed_map(d2, tmp_path):
    mask = np.zeros((32, 32, 32), np.float32)
    mask[8:24, 8:24, 8:24] = 0.5
    write_map(tmp_path / "mask.mrc", mask, 4.0)
    arguments = ("impose", d2, "--symmetry", "D2", "--output")
    invoke(*arguments, tmp_path / "bare.mrc")
    invoke(*arguments, tmp_path / "masked.mrc", "--mask", tmp_path / "mask.mrc")
    bare, masked = (read_map(tmp_path / f"{name}.mrc").data for name in ("bare", "masked"))
    np.testing.assert_array_equal(masked, bare * mask)
    result = invoke(*arguments, tmp_path / "mask.mrc", "--mask", tmp_path / "mask.mrc")
    assert "is read by this command" in result.stderr


def test_a_mask_of_another_voxel_size_is_refused_with_both(d2, tmp_path):
    write_map(tmp_path / "mask.mrc", make_volume(), 3.0)
    result = invoke(
        "impose", d2, "--symmetry", "D2", "--output", tmp_path / "o.mrc",
        "--mask", tmp_path / "mask.mrc",
    )  # fmt: skip
    assert result.exit_code == 1
    assert "32 voxels of 3 Å; expected those of the map (32 voxels of 4 Å)" in result.stderr


def test_the_voxel_size_that_is_given_is_that_of_the_mask_too(d2, tmp_path):
    write_map(tmp_path / "mask.mrc", make_volume(), 1.0)  # as scripts write it
    output = tmp_path / "o.mrc"
    options = ("--mask", tmp_path / "mask.mrc", "--pixel-size", "4")
    invoke("impose", d2, "--symmetry", "D2", "--output", output, *options)
    assert read_map(output).voxel_size == 4.0


def test_a_map_off_its_axes_is_not_imposed_on_unless_it_is_aligned_first(tmp_path):
    write_rotated_d2(tmp_path)
    arguments = (
        "impose", tmp_path / "truth.mrc", "--symmetry", "D2", "--output", tmp_path / "out.mrc",
        "--json",
    )  # fmt: skip
    refused = invoke(*arguments)
    assert refused.exit_code == 4
    assert values(refused)["verdict"].startswith("D2 does not hold")
    assert "align it first (--align)" in refused.stderr
    assert not (tmp_path / "out.mrc").exists()
    assert invoke(*arguments, "--force").exit_code == 0
    smeared = read_map(tmp_path / "out.mrc").data
    aligned = invoke(*arguments, "--align")
    assert aligned.exit_code == 0
    found = values(aligned)
    np.testing.assert_allclose(found["alignment"]["shift"], SHIFT, atol=0.1)
    imposed = read_map(tmp_path / "out.mrc").data
    assert imposed.std() > 1.2 * smeared.std()
    rotation = Rotation.from_matrix(found["alignment"]["rotation"]).as_matrix()
    original = read_map(tmp_path / "truth.mrc").data
    expected = rotate_map(original, rotation, np.array(found["alignment"]["shift"]) / 4.0)
    assert np.corrcoef(imposed.ravel(), expected.ravel())[0, 1] > 0.999


def test_a_map_at_the_border_is_warned_of_when_it_is_imposed_on(tmp_path):
    write_rotated_d2(tmp_path, shift=(32.0, 0.0, 0.0))
    result = invoke(
        "impose", tmp_path / "truth.mrc", "--symmetry", "D2", "--output", tmp_path / "o.mrc"
    )
    assert result.exit_code == 4
    assert "border" in result.stderr
