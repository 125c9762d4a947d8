"""The report as PDF: RELION shows it as the log of a job."""

import re

import numpy as np
import pytest
from fake_runs import make_record, make_report

from napari_ini3d.errors import RunFolderError
from napari_ini3d.report import write_pdf
from napari_ini3d.runs.folder import RunFolder
from napari_ini3d.runs.summary import IterationSummary, make_pictures


@pytest.fixture
def folder(tmp_path):
    return RunFolder.create(tmp_path / "job012")


def count_pages(path):
    return len(re.findall(rb"/Type /Page\b", path.read_bytes()))


def test_each_class_has_its_pages(folder, tmp_path):
    pages = {}
    for classes in (1, 3):
        report = make_report(20, classes=classes)
        folder.write_record(make_record())
        folder.append_progress(IterationSummary.from_report(report).to_json())
        folder.write_pictures(report.iteration, make_pictures(report))
        write_pdf(folder, tmp_path / "log.pdf", outcome="SUCCESS")
        pages[classes] = count_pages(tmp_path / "log.pdf")
        folder.remove_outputs(folder.progress_path)
    assert pages[3] - pages[1] == 4  # slices, and viewing directions, of two more classes
    assert (tmp_path / "log.pdf").read_bytes().startswith(b"%PDF")


def test_a_run_without_iterations_has_a_page_that_says_so(folder, tmp_path):
    write_pdf(folder, tmp_path / "log.pdf", outcome="ABORTED")
    assert count_pages(tmp_path / "log.pdf") == 1


def test_a_file_that_cannot_be_written_is_named(folder, tmp_path):
    with pytest.raises(RunFolderError, match=r"none/log\.pdf"):
        write_pdf(folder, tmp_path / "none" / "log.pdf")
    assert np.all([path.suffix != ".pdf" for path in tmp_path.iterdir()])
