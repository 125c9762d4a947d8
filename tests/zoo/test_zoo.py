"""Every file of the zoo gets the verdict of its row in README.md."""

import importlib.util
import logging
from pathlib import Path

import numpy as np
import pytest

from napari_ini3d.errors import InputError, MapError
from napari_ini3d.io import prepare_map, read_map, read_particles
from napari_ini3d.preflight import check_particles
from napari_ini3d.preflight.selection import select_images
from napari_ini3d.settings import InitialModelSettings

ZOO = Path(__file__).parent
SETTINGS = InitialModelSettings(mask_diameter=24, max_excluded=0.1)
LEVELS = {logging.INFO: "note", logging.WARNING: "warning"}

spec = importlib.util.spec_from_file_location("make_zoo", ZOO / "make_zoo.py")
make_zoo = importlib.util.module_from_spec(spec)
spec.loader.exec_module(make_zoo)


def _table():
    lines = (ZOO / "README.md").read_text().splitlines()
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines if "|" in line]
    return {name: (verdict, words) for name, _, verdict, words in cells[2:]}


TABLE = _table()
STARS = [name for name in TABLE if name.endswith(".star")]
MAPS = [name for name in TABLE if name not in STARS]


def test_the_table_has_every_file_and_the_script_writes_them(tmp_path):
    make_zoo.write_zoo(tmp_path)
    written = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert {name for name in written if not name.endswith(".mrcs")} == set(TABLE)
    for name, content in written.items():
        if not name.endswith(".gz") and name != "packed.star":  # zlib's versions differ
            assert (ZOO / name).read_bytes() == content, name


@pytest.mark.parametrize("name", STARS)
def test_a_star_file_gets_its_verdict(name):
    verdict, words = TABLE[name]
    report = check_particles(ZOO / name, SETTINGS)
    found = [one for one in report.findings if one.code != "few-particles"]
    assert [f"{one.level} {one.code}" for one in found] == [verdict] * (verdict != "fine")
    assert all(words in str(one) for one in found)
    assert report.ok != verdict.startswith("error")


@pytest.mark.parametrize("name", STARS)
def test_a_run_refuses_what_the_check_refuses_and_reads_every_row_of_the_rest(name):
    def start():
        particles, table = read_particles(ZOO / name)
        return particles, select_images(particles, table, SETTINGS, lambda: None)

    if TABLE[name][0].startswith("error"):
        with pytest.raises(InputError):
            start()
        return
    particles, chosen = start()
    expected = read_particles(ZOO / "plain.star")[0]
    np.testing.assert_array_equal(particles.image_index, expected.image_index)
    assert len(chosen.good) == 12 - len(chosen.bad)
    good = particles.take(chosen.good)
    np.testing.assert_allclose(good.defocus_u, expected.take(chosen.good).defocus_u)


@pytest.mark.parametrize("name", MAPS)
def test_a_map_gets_its_verdict(name, caplog):
    verdict, words = TABLE[name]
    caplog.set_level(logging.INFO)
    if verdict == "error":
        with pytest.raises(MapError, match=words):
            prepare_map(ZOO / name)
        return
    found = prepare_map(ZOO / name)
    records = [record for record in caplog.records if record.name.startswith("napari_ini3d")]
    assert [LEVELS[record.levelno] for record in records] == [verdict] * (verdict != "fine")
    assert words in caplog.text
    shape = found.shape
    expected = make_zoo.particle(shape)
    scale = found.data.max() / expected.max()
    mine = found.restore(found.data)
    np.testing.assert_allclose(mine, read_map(ZOO / name, any_box=True).data, rtol=1e-4, atol=1e-5)
    sign = -1 if found.inverted else 1
    density = sign * (mine - found.background)
    np.testing.assert_allclose(density, scale * expected, atol=2e-3 * scale)
