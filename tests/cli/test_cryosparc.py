"""`ini3d run`, `check` and `convert` with files of cryoSPARC."""

import json
import shutil
import subprocess

import numpy as np
import pytest
import starfile
from cryosparc_files import BLOB, CTF, make_dataset, save
from fake_runs import use_fake_engine
from scipy.spatial.transform import Rotation
from typer.testing import CliRunner

from napari_ini3d.cli.app import app
from napari_ini3d.io import convert_to_cryosparc
from napari_ini3d.io.cryosparc.dataset import read_dataset
from napari_ini3d.simulation import (
    SimulationSettings,
    make_phantom,
    simulate_particles,
    write_dataset,
)

NUMBER = 40


def invoke(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A project folder of cryoSPARC: a job with dark particles in an .mrc stack."""
    folder = tmp_path_factory.mktemp("cryosparc")
    phantom = make_phantom("C1", diameter=80.0)
    settings = SimulationSettings(number=NUMBER, box_size=32, pixel_size=4.0, snr=1.0, invert=True)
    star = write_dataset(folder / "S1", simulate_particles(phantom, settings), phantom)
    convert_to_cryosparc(star, folder / "all.cs", project=folder)
    fields = read_dataset(folder / "all.cs")
    [stack] = set(fields["blob/path"])
    shutil.move(folder / stack.decode(), folder / "S1" / "images.mrc")
    fields["blob/path"] = np.full(NUMBER, b">S1/images.mrc")
    fields["blob/sign"] = np.full(NUMBER, -1, dtype=np.float32)
    table = np.empty(NUMBER, dtype=[(n, v.dtype, v.shape[1:]) for n, v in fields.items()])
    for name, values in fields.items():
        table[name] = values
    ctf = ["uid", *(name for name in fields if name.startswith("ctf/"))]
    rest = [name for name in fields if name not in ctf[1:]]
    save(folder / "J2" / "particles.cs", table[rest])
    save(folder / "J1" / "passthrough.cs", table[ctf][::-1])
    return folder


def test_check_reads_particles_with_their_passthrough_file(project):
    result = invoke("check", project / "J2" / "particles.cs", "--json",
                    "--passthrough", project / "J1" / "passthrough.cs")  # fmt: skip
    assert result.exit_code == 0, result.output
    values = json.loads(result.output.splitlines()[-1])
    assert values["n_particles"] == NUMBER
    assert values["contrast"] == "black on white"
    assert values["inverted"]


def test_check_names_the_missing_passthrough_file(project):
    result = invoke("check", project / "J2" / "particles.cs", "--json")
    assert result.exit_code == 3
    [finding] = json.loads(result.output.splitlines()[-1])["findings"]
    assert finding["level"] == "error"
    assert "--passthrough" in str(finding)


@pytest.fixture(scope="module")
def fake_engine():
    with pytest.MonkeyPatch.context() as patch:
        use_fake_engine(patch)
        yield


@pytest.fixture(scope="module")
def run(project, tmp_path_factory, fake_engine):
    folder = tmp_path_factory.mktemp("run") / "run"
    particles = save(folder.parent / "elsewhere.cs", np.load(project / "J2" / "particles.cs"))
    result = invoke("run", particles, "--project", project,
                    "--passthrough", project / "J1" / "passthrough.cs", "--output", folder,
                    "--mask-diameter", 100, "--iterations", 3, "--write-every", 1,
                    "--device", "cpu", "--threads", 1, "--quiet")  # fmt: skip
    assert result.exit_code == 0, result.output
    return folder


def last_star(run):
    return sorted(run.glob("run_it*_data.star"))[-1]


def test_a_run_writes_star_files_with_the_uid_and_absolute_stacks(project, run):
    found = starfile.read(last_star(run))["particles"]
    table = np.load(project / "J2" / "particles.cs")
    np.testing.assert_array_equal(found["cs/uid"].to_numpy().astype(np.uint64), table["uid"])
    assert found["rlnImageName"][0] == f"000001@{project / 'S1' / 'images.mrc'}:mrcs"


def test_a_run_is_resumed_with_its_passthrough_files_and_project(run, fake_engine):
    result = invoke("resume", run, "--iterations", 4, "--quiet")
    assert result.exit_code == 0, result.output
    assert (run / "run_it004_data.star").is_file()


def test_the_poses_of_a_run_come_back_to_the_dataset_by_uid(project, run, tmp_path):
    result = invoke("convert", last_star(run), tmp_path / "out.cs",
                    "--template", project / "J2" / "particles.cs", "--json")  # fmt: skip
    assert result.exit_code == 0, result.output
    rows = starfile.read(last_star(run))["particles"]
    rows = rows[rows["rlnClassNumber"] > 0]
    found = read_dataset(tmp_path / "out.cs")
    np.testing.assert_array_equal(found["uid"], rows["cs/uid"].to_numpy().astype(np.uint64))
    angles = rows[["rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi"]]
    turn = Rotation.from_rotvec(found["alignments3D/pose"]).inv() * Rotation.from_euler(
        "ZYZ", angles, degrees=True
    )
    assert np.rad2deg(turn.magnitude().max()) < 1e-3
    shift = found["alignments3D/shift"] * found["alignments3D/psize_A"][:, None]
    np.testing.assert_allclose(shift, rows[["rlnOriginXAngst", "rlnOriginYAngst"]], atol=1e-3)
    assert set(found["blob/path"]) == {b">S1/images.mrc"}
    passthrough = np.load(project / "J1" / "passthrough.cs")[::-1]
    np.testing.assert_allclose(found["ctf/df1_A"], passthrough["ctf/df1_A"], rtol=1e-6)


def test_particles_without_the_junk_have_the_fields_of_the_dataset(project, run, tmp_path):
    result = invoke("select", run, "--output", tmp_path / "good.cs", "--max-junk", 1)
    assert result.exit_code == 0, result.output
    before = np.load(project / "J2" / "particles.cs")
    found = np.load(tmp_path / "good.cs")
    np.testing.assert_array_equal(found["uid"], before["uid"])
    assert set(before.dtype.names) <= set(found.dtype.names)
    np.testing.assert_array_equal(found["blob/path"], before["blob/path"])


@pytest.mark.relion
@pytest.mark.skipif(shutil.which("relion_reconstruct") is None, reason="RELION is not installed")
def test_relion_reads_the_star_file_of_a_run(run, tmp_path):
    command = [
        "relion_reconstruct",
        "--i",
        str(last_star(run)),
        "--o",
        str(tmp_path / "a.mrc"),
        "--ctf",
    ]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "a.mrc").stat().st_size == 1024 + 4 * 32**3


@pytest.mark.parametrize(
    ("source", "target", "options", "words"),
    [
        ("a.cs", "b.cs", [], "in either order"),
        ("a.star", "b.star", [], "in either order"),
        ("a.cs", "b.star", ["--template", "a.cs"], "--template"),
        ("a.star", "b.cs", ["--passthrough", "p.cs"], "--passthrough"),
        ("a.star", "b.cs", ["--template", "b.cs"], "is read by this command"),
    ],
)
def test_conversions_that_make_no_sense_are_refused(
    tmp_path, monkeypatch, source, target, options, words
):
    monkeypatch.chdir(tmp_path)
    result = invoke("convert", source, target, *options)
    assert result.exit_code == 1
    assert words in " ".join(result.output.split())


def test_convert_says_what_it_has_written(tmp_path):
    save(tmp_path / "a.cs", make_dataset(fields=[*BLOB, *CTF]))
    result = invoke("convert", tmp_path / "a.cs", tmp_path / "a.star")
    assert result.exit_code == 0, result.output
    assert "6 particles: blob, ctf" in result.output
    assert "stacks not found" in result.output
    assert (tmp_path / "a.star").is_file()
