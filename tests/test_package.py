"""What is installed: the public names, the manifest, the command, the wheel."""

import re
import runpy
import subprocess
import sys
import zipfile
from importlib.metadata import entry_points, version
from pathlib import Path

import numpy as np
import pytest
from npe2 import PluginManifest

import napari_ini3d
from napari_ini3d.io.maps import write_map
from napari_ini3d.reader import get_reader
from napari_ini3d.sample_data import make_phantom_map

ROOT = Path(__file__).parents[1]


def test_the_version_is_the_one_that_is_installed():
    assert napari_ini3d.__version__ == version("napari-ini3d")


@pytest.mark.parametrize("name", napari_ini3d.__all__)
def test_every_public_name_can_be_had(name):
    assert getattr(napari_ini3d, name).__name__ == name


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        napari_ini3d.nonsense  # noqa: B018


def test_the_manifest_validates_and_its_commands_can_be_imported():
    manifest = PluginManifest.from_distribution("napari-ini3d")
    manifest.validate_imports()
    assert manifest.name == "napari-ini3d"


def test_the_manifest_in_the_root_is_the_one_in_the_package():
    assert (ROOT / "napari.yaml").resolve() == ROOT / "src/napari_ini3d/napari.yaml"


def test_the_command_is_installed():
    (script,) = entry_points(group="console_scripts", name="ini3d")
    assert callable(script.load())


def test_the_wheel_holds_manifest_typing_marker_and_page_template(tmp_path):
    pytest.importorskip("hatchling")
    code = f"from hatchling.build import build_wheel; build_wheel({str(tmp_path)!r})"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    for name in ("napari.yaml", "py.typed", "report.template.html"):
        assert f"napari_ini3d/{name}" in names


def test_the_options_in_the_readme_are_those_of_the_settings():
    script = runpy.run_path(str(ROOT / "docs" / "make_options.py"))
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert readme == script["insert_table"](readme), "run `python docs/make_options.py`"


def test_every_file_the_readme_links_to_is_there():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    links = re.findall(r"\]\(([^)#]+)\)", readme)
    assert links
    for link in links:
        assert (ROOT / link).exists(), link


def test_a_map_is_opened_as_a_centred_layer_in_angstrom(tmp_path):
    volume = np.random.default_rng(0).normal(size=(16, 16, 16)).astype(np.float32)
    path = tmp_path / "run_it010_class001.mrc"
    write_map(path, volume, 2.5)
    read = get_reader(str(path))
    assert read is not None
    ((data, keywords, kind),) = read(str(path))
    np.testing.assert_array_equal(data, volume)
    assert (kind, keywords["name"]) == ("image", "run_it010_class001")
    assert keywords["scale"] == (2.5, 2.5, 2.5)
    assert keywords["translate"] == (-20.0, -20.0, -20.0)
    assert keywords["units"] == ("angstrom",) * 3


@pytest.mark.parametrize("path", ["particles.star", "image.tif", [], ["a.mrc", "b.tif"]])
def test_what_is_no_map_is_left_to_other_readers(path):
    assert get_reader(path) is None


def test_the_sample_is_a_map_with_density_in_the_middle():
    ((data, keywords, kind),) = make_phantom_map()
    assert (data.ndim, kind) == (3, "image")
    middle = data[16:48, 16:48, 16:48]
    assert middle.mean() > 3 * abs(data.mean())
    assert keywords["contrast_limits"][0] < keywords["contrast_limits"][1]
