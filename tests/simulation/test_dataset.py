import shutil
import subprocess

import mrcfile
import numpy as np
import pytest
import starfile

from napari_ini3d.errors import RunFolderError
from napari_ini3d.io.star.particles import read_particles
from napari_ini3d.simulation import SimulationSettings, make_phantom, simulate_particles
from napari_ini3d.simulation.dataset import write_dataset

PHANTOM = make_phantom("C1", diameter=100, domains=2)
SETTINGS = SimulationSettings(number=12, box_size=48, pixel_size=3.4, groups=2, phase_shift=30.0)


def test_the_written_particles_are_read_again(tmp_path):
    simulated = simulate_particles(PHANTOM, SETTINGS)
    particles, _ = read_particles(write_dataset(tmp_path / "set", simulated, PHANTOM))
    expected = simulated.particles
    assert len(particles) == 12
    assert [g.voltage for g in particles.optics] == [300.0, 200.0]
    assert [g.box_size for g in particles.optics] == [48, 48]
    for name in ("defocus_u", "defocus_v", "defocus_angle", "phase_shift"):
        assert np.allclose(getattr(particles, name), getattr(expected, name), atol=0.01)
    assert np.array_equal(particles.image_index, expected.image_index)
    assert [p.name for p in particles.stack_paths] == [p.name for p in expected.stack_paths]


def test_stacks_and_map_have_their_pixel_size_in_the_header(tmp_path):
    simulated = simulate_particles(PHANTOM, SETTINGS.with_changes(groups=1))
    write_dataset(tmp_path, simulated, PHANTOM, 10.0)
    with mrcfile.open(tmp_path / "particles.mrcs") as stack:
        assert stack.is_image_stack()
        assert float(stack.voxel_size.x) == pytest.approx(3.4)
        assert np.array_equal(stack.data, simulated.images)
    with mrcfile.open(tmp_path / "truth.mrc") as truth:
        assert truth.is_volume()
        assert np.array_equal(truth.data, PHANTOM.density(48, 3.4, 10.0))


def test_only_the_truth_has_poses(tmp_path):
    write_dataset(tmp_path, simulate_particles(PHANTOM, SETTINGS), PHANTOM)
    assert "rlnAngleRot" not in (tmp_path / "particles.star").read_text()
    assert "rlnAngleRot" in (tmp_path / "truth.star").read_text()


def test_the_truth_has_the_faults_of_each_particle(tmp_path):
    settings = SETTINGS.with_changes(
        number=60, junk=0.4, other_share=0.5, scale_spread=0.2, defocus_error=0.03
    )
    simulated = simulate_particles(PHANTOM, settings, PHANTOM)
    write_dataset(tmp_path, simulated, PHANTOM, other=PHANTOM)
    table = starfile.read(tmp_path / "truth.star")["particles"]
    assert set(table["ini3dJunkKind"]) == {"none", "empty", "bright", "edge"}
    is_particle = table["ini3dJunkKind"] == "none"
    assert np.array_equal(table["rlnClassNumber"], np.where(is_particle, table["ini3dState"], 0))
    assert np.allclose(table["ini3dSignalScale"], simulated.faults.scale, atol=1e-6)
    right = table["rlnDefocusU"] / (1 + table["ini3dDefocusError"])
    plain = simulate_particles(PHANTOM, settings.with_changes(defocus_error=0.0), PHANTOM)
    assert np.allclose(right, plain.particles.defocus_u, atol=0.1)
    assert "ini3d" not in (tmp_path / "particles.star").read_text()
    assert (tmp_path / "truth_state2.mrc").exists()


def test_a_folder_that_cannot_be_created_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(RunFolderError, match="file"):
        write_dataset(tmp_path / "file", simulate_particles(PHANTOM, SETTINGS), PHANTOM)


@pytest.mark.relion
@pytest.mark.skipif(shutil.which("relion_project") is None, reason="RELION is not installed")
def test_relion_projects_the_same_images_from_the_written_truth(tmp_path):
    settings = SETTINGS.with_changes(snr=1e8, noise_colour=0.0, groups=2)
    simulated = simulate_particles(PHANTOM, settings)
    write_dataset(tmp_path, simulated, PHANTOM)
    command = "relion_project --i truth.mrc --o relion --ang truth.star --ctf --angpix 3.4 --pad 2"
    subprocess.run(command.split(), cwd=tmp_path, check=True, capture_output=True)
    expected = mrcfile.read(tmp_path / "relion.mrcs")
    for image, other in zip(simulated.images, expected, strict=True):
        assert np.corrcoef(image.ravel(), other.ravel())[0, 1] > 0.999
