import numpy as np
import pandas as pd
import pytest
import starfile

from napari_ini3d.errors import StarError
from napari_ini3d.io.star.model import ModelTables, replace_class_fsc, write_model_star


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


def test_resolution_fsc_and_ssnr_of_a_class_are_replaced_and_nothing_else(tmp_path):
    path, tables = tmp_path / "m.star", _tables()
    write_model_star(path, tables)
    before = starfile.read(path, always_dict=True)
    fsc, ssnr = np.linspace(1, 0, 9), np.linspace(50, 1e-3, 9)
    for _ in range(2):  # the second time it is the same
        replace_class_fsc(path, 1, resolution=6.5, fsc=fsc, ssnr=ssnr)
    after = starfile.read(path, always_dict=True)
    assert after["model_general"].pop("rlnCurrentResolution") == pytest.approx(6.5)
    del before["model_general"]["rlnCurrentResolution"]
    np.testing.assert_allclose(after["model_class_2"].pop("rlnGoldStandardFsc"), fsc, rtol=1e-9)
    np.testing.assert_allclose(after["model_class_2"].pop("rlnSsnrMap"), ssnr, rtol=1e-9)
    assert after["model_classes"].pop("rlnEstimatedResolution").tolist() == [8.0, 6.5]
    before["model_class_2"] = before["model_class_2"][after["model_class_2"].columns]
    before["model_classes"] = before["model_classes"][after["model_classes"].columns]
    assert after.keys() == before.keys()
    for name, block in before.items():
        if name == "model_general":
            assert after[name] == block
        else:
            pd.testing.assert_frame_equal(after[name], block)


@pytest.mark.parametrize("shells", [4, 12])
def test_curves_of_another_length_are_refused_and_the_file_stays(tmp_path, shells):
    path = tmp_path / "m.star"
    write_model_star(path, _tables())
    before = path.read_bytes()
    curve = np.ones(shells)
    with pytest.raises(StarError, match="no classes as ini3d writes them"):
        replace_class_fsc(path, 1, resolution=6.5, fsc=curve, ssnr=curve)
    with pytest.raises(StarError, match="no classes as ini3d writes them"):
        replace_class_fsc(path, 7, resolution=6.5, fsc=np.ones(9), ssnr=np.ones(9))
    assert path.read_bytes() == before
