"""Output of an External job in RELION's own refinement programs, from the project folder."""

import shutil
import subprocess

import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from typer.testing import CliRunner

from napari_ini3d.cli.app import app
from napari_ini3d.comparison import compare_maps
from napari_ini3d.fourier import rotate_map
from napari_ini3d.io import read_map
from napari_ini3d.simulation import (
    SimulationSettings,
    make_phantom,
    simulate_particles,
    write_dataset,
)

pytestmark = [
    pytest.mark.relion,
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("relion_refine") is None, reason="RELION is not installed"),
]

JOB = "External/job012"
BOX, PIXEL_SIZE, RESOLUTION = 32, 6.0, 20.0
INPUTS = {  # what a user chooses in RELION's window, with and without the symmetry
    "C1": (f"{JOB}/run_it025_data.star", f"{JOB}/initial_model_c1.mrc"),
    "C2": (f"{JOB}/particles_aligned.star", f"{JOB}/initial_model.mrc"),
}
COMMON = (
    "--ctf --particle_diameter 150 --flatten_solvent --zero_mask --norm --scale --pool 30 --pad 1 "
    "--dont_combine_weights_via_disc --preread_images --random_seed 1 --j 1"
)
GLOBAL = "--healpix_order 1 --oversampling 0 --offset_range 1 --offset_step 1 --ini_high 30"
CLASSIFICATION = f"--K 2 --iter 1 {GLOBAL}"
AUTO_REFINE = f"--auto_refine --split_random_halves --auto_iter_max 1 {GLOBAL}"
OTHER = Rotation.from_rotvec(np.diag([90.0, 90.0, 45.0]), degrees=True).as_matrix()
AS_THEY_ARE = "--skip_align --oversampling 0"
AS_PRIORS = "--sigma_ang 3 --healpix_order 3 --oversampling 1 --offset_range 1 --offset_step 1"


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A project of RELION with a finished External job, made with the group C2."""
    folder = tmp_path_factory.mktemp("project")
    phantom = make_phantom("C2", diameter=120.0)
    settings = SimulationSettings(number=200, box_size=BOX, pixel_size=PIXEL_SIZE, snr=1.0)
    write_dataset(folder / "Select/job011", simulate_particles(phantom, settings), phantom)
    (folder / JOB).mkdir(parents=True)
    (folder / JOB / "job.star").touch()
    (folder / "default_pipeline.star").write_text(
        "\ndata_pipeline_general\n\n_rlnPipeLineJobCounter 13\n"
    )
    words = (
        f"--o {JOB}/ --in_parts Select/job011/particles.star --mask_diameter 150 --sym C2 "
        "--iter 25 --starts 2 --no_independent_half_sets --j 1"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        result = CliRunner().invoke(app, ["relion-job", *words.split()])
    assert result.exit_code == 0, result.output
    return folder


def refine(project, group, name, options, program=("relion_refine",)):
    particles, reference = INPUTS[group]
    (project / name).mkdir(parents=True, exist_ok=True)
    words = f"--o {name}/run --i {particles} --ref {reference} --sym {group} {options} {COMMON}"
    done = subprocess.run(
        [*program, *words.split()], cwd=project, capture_output=True, text=True, timeout=500
    )
    assert done.returncode == 0, done.stderr
    assert "error" not in done.stderr.lower()
    return read_map(project / reference).data


def compare(first, second):
    return compare_maps(first, second, voxel_size=PIXEL_SIZE, mask_diameter=150, align=False)


@pytest.mark.parametrize("group", ["C1", "C2"])
def test_a_3d_classification_starts_from_map_and_particles(project, group):
    name = f"Class3D/{group}"
    ours = refine(project, group, name, CLASSIFICATION)
    maps = [read_map(project / name / f"run_it001_class00{k}.mrc").data for k in (1, 2)]
    assert max(compare(ours, found).correlation for found in maps) > 0.7


@pytest.mark.skipif(
    not (shutil.which("mpirun") and shutil.which("relion_refine_mpi")), reason="no MPI"
)
@pytest.mark.parametrize("group", ["C1", "C2"])
def test_an_auto_refinement_starts_from_map_and_particles(project, group, monkeypatch):
    monkeypatch.setenv("OMPI_ALLOW_RUN_AS_ROOT", "1")
    monkeypatch.setenv("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1")
    name = f"Refine3D/{group}"
    mpi = ("mpirun", "--oversubscribe", "-n", "3", "relion_refine_mpi")
    ours = refine(project, group, name, AUTO_REFINE, mpi)
    halves = [read_map(project / name / f"run_it001_half{k}_class001.mrc").data for k in (1, 2)]
    theirs = (halves[0] + halves[1]) / 2
    # half of 200 particles after one iteration: noisy, but of our orientation and no other
    found = compare(ours, theirs).correlation
    others = [compare(rotate_map(ours, rotation), theirs).correlation for rotation in OTHER]
    assert found > 0.6
    assert found > max(others) + 0.15


@pytest.mark.parametrize("group", ["C1", "C2"])
@pytest.mark.parametrize("use", [AS_THEY_ARE, AS_PRIORS], ids=["poses", "priors"])
def test_poses_give_the_same_map_in_relion(project, group, use):
    name = f"Poses/{group}_{'priors' if use == AS_PRIORS else 'poses'}"
    options = f"--K 1 --iter 1 --ini_high {RESOLUTION:g} {use}"
    ours = refine(project, group, name, options)
    theirs = read_map(project / name / "run_it001_class001.mrc").data
    found = compare(ours, theirs)
    assert found.resolution_half < 1.1 * RESOLUTION  # where RELION's map ends
    assert found.correlation > 0.9
    inside = np.linalg.norm(np.indices(ours.shape) - BOX // 2, axis=0) < 75 / PIXEL_SIZE
    scale = np.sum(ours[inside] * theirs[inside]) / np.sum(ours[inside] ** 2)
    assert 0.8 < scale < 1.25  # the map is on RELION's absolute greyscale
