"""The notebook in examples/: its cells run, on few particles, and what it shows was computed."""

from __future__ import annotations

import json
from pathlib import Path

import matplotlib as mpl
import pytest

from napari_ini3d import read_map
from napari_ini3d.runs import RunFolder

ROOT = Path(__file__).parents[1]
NOTEBOOK = json.loads((ROOT / "examples/run_and_symmetry.ipynb").read_text(encoding="utf-8"))
CELLS = [cell for cell in NOTEBOOK["cells"] if cell["cell_type"] == "code"]


@pytest.mark.thorough
@pytest.mark.slow
def test_the_cells_of_the_notebook_run_one_after_the_other(tmp_path, monkeypatch, capsys):
    pytest.importorskip("IPython", reason="IPython shows the figures of a notebook")
    monkeypatch.chdir(tmp_path)
    values = {}
    with mpl.rc_context({"backend": "agg"}):
        for cell in CELLS:
            exec(compile("".join(cell["source"]), f"cell {cell['id']}", "exec"), values)
            if "parameters" in cell["metadata"].get("tags", ()):
                values |= {"number": 60, "iterations": 6}
    folder = tmp_path / "notebook_output"
    assert RunFolder.open(folder / "run").outcome() == "SUCCESS"
    assert len(values["resolutions"]) == 6
    assert read_map(folder / "symmetrised.mrc").data.shape == (48, 48, 48)
    assert "FSC" in capsys.readouterr().out


def test_the_notebook_was_executed_in_order_without_errors():
    assert [cell["execution_count"] for cell in CELLS] == list(range(1, len(CELLS) + 1))
    kinds = [output["output_type"] for cell in CELLS for output in cell["outputs"]]
    assert "error" not in kinds
    assert "display_data" in kinds


def test_the_notebook_is_listed_and_names_no_folder_of_a_machine():
    assert "`run_and_symmetry.ipynb`" in (ROOT / "examples/README.md").read_text(encoding="utf-8")
    text = json.dumps(NOTEBOOK)
    assert not any(name in text for name in ("/home/", "/tmp/", "/root/", "/Users/"))
