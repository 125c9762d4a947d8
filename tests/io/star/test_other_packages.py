"""STAR files as Scipion, Warp and M write them, and RELION's files that hold no particles."""

import numpy as np
import pytest
from mrc_files import loop, write_stack

from napari_ini3d.errors import StarError
from napari_ini3d.io import read_particles

IMAGES = np.random.default_rng(0).normal(size=(4, 16, 16))
SCIPION = """# Star file generated with Scipion

# version 30001

data_optics

loop_
_rlnOpticsGroupName 
_rlnOpticsGroup 
_rlnMicrographOriginalPixelSize 
_rlnVoltage 
_rlnSphericalAberration 
_rlnAmplitudeContrast 
_rlnImageSize 
_rlnImageDimensionality 
_rlnImagePixelSize 
 opticsGroup1   1   1.000000   300.000000   2.700000   0.100000   16   2   3.000000 

# version 30001

data_particles

loop_
_rlnImageId 
_rlnMicrographName 
_rlnImageName 
_rlnCtfImage 
_rlnDefocusU 
_rlnDefocusV 
_rlnDefocusAngle 
_rlnOpticsGroup 
 1   mic-1.mrc   000001@Runs/000759_ProtRelion/extra/mic.mrcs   Runs/000157_ProtGctf/extra/a_ctf.mrc   28563.54   27973.0   151.46   1 
 2   mic-1.mrc   000003@Runs/000759_ProtRelion/extra/mic.mrcs   Runs/000157_ProtGctf/extra/a_ctf.mrc   28563.54   27973.0   151.46   1 
"""  # noqa: E501, W291
WARP = [
    "rlnCoordinateX", "rlnCoordinateY", "rlnDefocusU", "rlnDefocusV", "rlnDefocusAngle",
    "rlnPhaseShift", "rlnVoltage", "rlnSphericalAberration", "rlnAmplitudeContrast",
    "rlnDetectorPixelSize", "rlnMagnification", "rlnImageName", "rlnMicrographName",
]  # fmt: skip


def test_scipions_particles_with_the_power_spectrum_of_a_micrograph_are_read(tmp_path):
    write_stack(tmp_path / "Runs/000759_ProtRelion/extra/mic.mrcs", IMAGES)
    path = tmp_path / "Runs" / "000800_ProtRelionExportParticles" / "input_particles.star"
    path.parent.mkdir()
    path.write_text(SCIPION)
    particles, table = read_particles(path)
    np.testing.assert_array_equal(particles.image_index, [0, 2])
    assert particles.optics[0].pixel_size == 3.0
    assert table.particles["rlnCtfImage"][0].endswith("a_ctf.mrc")


def test_a_subtomogram_with_the_image_of_its_ctf_is_refused(tmp_path):
    path = tmp_path / "particles.star"
    path.write_text(SCIPION.replace("000001@", "").replace("000003@", ""))
    with pytest.raises(StarError, match="rlnCtfImage belongs to tomography"):
        read_particles(path)


@pytest.mark.parametrize("folder", ["particles", "../particles"])
def test_warps_particles_beside_the_micrographs_are_read(tmp_path, folder):
    """One table, stacks relative to the STAR file, pixel size as detector pixel."""
    path = tmp_path / "session" / "goodparticles_BoxNet2.star"
    write_stack(path.parent / folder / "20200101_1.mrcs", IMAGES)
    rows = [
        f"100 200 15000 14000 30 0 300 2.7 0.07 1.5 10000 {i + 1:07d}@{folder}/20200101_1.mrcs "
        "20200101_1.mrc"
        for i in range(4)
    ]
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"\n{loop('', WARP, rows)}")
    particles, _ = read_particles(path)
    np.testing.assert_array_equal(particles.image_index, np.arange(4))
    assert particles.optics[0].pixel_size == pytest.approx(1.5)


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (["wrpCoordinateX1", "wrpAngleRot1", "wrpSourceName"], "table of M.*extract them in Warp"),
        (["rlnCoordinateX", "rlnCoordinateY"], "positions in micrographs; extract"),
        (["rlnMicrographName", "rlnOpticsGroup"], "micrographs; pick and extract"),
        (["rlnReferenceImage", "rlnClassDistribution"], "model of a RELION job; .*_data.star"),
        (["rlnPipeLineNodeName", "rlnPipeLineNodeType"], "list of RELION's files"),
    ],
)
def test_a_star_file_without_particles_is_named(tmp_path, labels, expected):
    path = tmp_path / "other.star"
    path.write_text(loop("", labels, [" ".join(["1"] * len(labels))]))
    with pytest.raises(StarError, match=expected):
        read_particles(path)
