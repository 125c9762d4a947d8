"""Particle files of other programs are refused by name, with the way to convert them."""

import pytest

from napari_ini3d.errors import InputError
from napari_ini3d.io import read_particles


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("all.lst", b"#LSX\n# comment\n", "EMAN2.*e2refinetorelion2d.py.*all.mrcs"),
        ("all.lst", b"", "list of images of EMAN2"),
        ("set.hdf", b"\x89HDF\r\n\x1a\n", "EMAN2.*e2proc2d.py set.hdf set.mrcs"),
        ("set.star", b"\x89HDF\r\n\x1a\n", "HDF5"),
        ("refine_1.par", b"C           PSI   THETA     PHI\n", "cisTEM or Frealign.*Export"),
        ("refine_1.cistem", b"\x01\x02", "cisTEM"),
        ("particles.sqlite", b"SQLite format 3\0", "Scipion.*relion - export particles"),
        ("project.db", b"SQLite format 3\0", "cisTEM.*Refinement Packages, Export"),
        ("particles", b"SQLite format 3\0", "Refinement Packages.*relion - export particles"),
        ("particles.xmd", b"# XMIPP_STAR_1 *\n", "Xmipp.*relion - export particles"),
        ("J4.csg", b"created: 2024\n", r"result group.*\.cs file beside it"),
    ],
)
def test_a_format_is_named_with_the_way_to_convert_it(tmp_path, name, content, expected):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(InputError, match=expected) as caught:
        read_particles(path)
    assert str(caught.value).startswith(str(path))
