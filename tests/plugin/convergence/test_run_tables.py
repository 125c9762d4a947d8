import csv
import math

import numpy as np
import pytest

pytest.importorskip("napari")

from fake_runs import BOX, VOXEL, make_report

from napari_ini3d.errors import RunFolderError
from napari_ini3d.plugin.convergence.run_tables import write_iterations, write_shells
from napari_ini3d.runs.summary import IterationSummary


def summaries():
    resolution = [np.array([20.0, math.nan]), np.array([18.0, 19.0])]
    reports = [make_report(i + 1, classes=2, resolution=r) for i, r in enumerate(resolution)]
    return [IterationSummary.from_report(report) for report in reports]


def rows_of(path):
    with path.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_there_is_a_row_for_each_iteration_and_class(tmp_path):
    write_iterations(tmp_path / "a.csv", summaries())
    rows = rows_of(tmp_path / "a.csv")
    keys = [(row["iteration"], row["class"], row["resolution_A"]) for row in rows]
    assert keys == [("1", "1", "20"), ("1", "2", ""), ("2", "1", "18"), ("2", "2", "19")]
    assert float(rows[0]["seconds"]) == 0.75
    assert rows[0]["junk_share"] == "0"
    assert float(rows[3]["class_share"]) == pytest.approx(1 / 3, abs=1e-5)


def test_there_is_a_row_for_each_shell_with_its_resolution(tmp_path):
    write_shells(tmp_path / "a.csv", summaries())
    rows = rows_of(tmp_path / "a.csv")
    assert len(rows) == 2 * 2 * (BOX // 2 + 1)
    assert rows[0]["resolution_A"] == ""  # the zero frequency
    assert float(rows[4]["resolution_A"]) == pytest.approx(BOX * VOXEL / 4)
    expected = summaries()[1].fsc[1][7]
    assert float(rows[3 * (BOX // 2 + 1) + 7]["fsc"]) == pytest.approx(expected, rel=1e-5)


def test_a_missing_folder_is_reported(tmp_path):
    with pytest.raises(RunFolderError, match="the folder does not exist"):
        write_iterations(tmp_path / "no" / "a.csv", summaries())
