import numpy as np
import pytest
import starfile

from napari_ini3d.io.star.model import ModelTables, write_model_star


def _tables():
    rng = np.random.default_rng(0)
    return ModelTables(
        map_names=["run_it010_class001.mrc", "run_it010_class002.mrc"],
        box_size=16,
        voxel_size=2.0,
        current_size=12,
        tau2_fudge=4.0,
        sigma_offset=5.5,
        mean_max_probability=0.25,
        class_shares=np.array([0.75, 0.25]),
        resolution=np.array([8.0, 16.0]),
        ssnr=rng.random((2, 9)),
        fsc=rng.random((2, 9)),
        tau2=rng.random((2, 9)) * 1e-9,
        sigma2=rng.random((2, 9)),
        sigma2_noise=rng.random((2, 9)) * 1e-5,
        group_names=["a", "b"],
        group_counts=np.array([30, 10]),
    )


def test_every_table_of_the_model_file_has_the_given_values(tmp_path):
    tables = _tables()
    write_model_star(tmp_path / "m.star", tables)
    blocks = starfile.read(tmp_path / "m.star", always_dict=True)
    general = blocks["model_general"]
    assert (general["rlnNrClasses"], general["rlnOriginalImageSize"]) == (2, 16)
    assert general["rlnCurrentResolution"] == pytest.approx(8.0)
    classes = blocks["model_classes"]
    assert list(classes["rlnReferenceImage"]) == tables.map_names
    assert list(classes["rlnClassDistribution"]) == [0.75, 0.25]
    assert "rlnOverallFourierCompleteness" not in classes
    second = blocks["model_class_2"]
    np.testing.assert_allclose(second["rlnSsnrMap"], tables.ssnr[1], rtol=1e-9)
    np.testing.assert_allclose(second["rlnGoldStandardFsc"], tables.fsc[1], rtol=1e-9)
    np.testing.assert_allclose(second["rlnReferenceTau2"], tables.tau2[1], rtol=1e-9)
    np.testing.assert_allclose(second["rlnReferenceSigma2"], tables.sigma2[1], rtol=1e-9)
    assert second["rlnAngstromResolution"][4] == pytest.approx(16 * 2.0 / 4)
    for kind in ("model_group", "model_optics_group"):
        noise = blocks[f"{kind}_2"]["rlnSigma2Noise"]
        np.testing.assert_allclose(noise, tables.sigma2_noise[1], rtol=1e-9)
    assert list(blocks["model_groups"]["rlnGroupNrParticles"]) == [30, 10]
