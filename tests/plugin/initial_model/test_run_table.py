"""The table of runs: sorting, search, selection."""

from pathlib import Path

import pytest

pytest.importorskip("napari")

from fake_runs import make_record
from qtpy.QtCore import QModelIndex, Qt

from napari_ini3d.plugin.initial_model.run_table import HEADINGS, NOTE, RunTable
from napari_ini3d.runs import RunEntry
from napari_ini3d.settings import InitialModelSettings


def entry(name, *, resolution=12.0, classes=1, n_particles=10, day=1, **more):
    record = make_record(
        settings=InitialModelSettings(classes=classes),
        n_particles=n_particles,
        started=f"2026-01-{day:02d}T08:00:00+00:00",
    )
    return RunEntry(Path("/runs") / name, record, "finished", 20, resolution, **more)


@pytest.fixture
def table(qtbot):
    table = RunTable()
    qtbot.addWidget(table)
    table.fill(
        [
            entry("b", resolution=float("nan"), day=3, n_particles=9),
            entry("c", resolution=9.5, classes=3, day=2, n_particles=10000, note="no junk"),
            entry(
                "a",
                resolution=30.0,
                validated_resolution=10.25,
                verdict="reliable",
                symmetry="D2",
                n_particles=200,
            ),
        ]
    )
    table.show()
    return table


def names(table):
    return "".join(table.text(row, "Run") for row in range(table.n_shown))


def test_the_newest_run_is_at_the_top(table):
    assert names(table) == "bca"


@pytest.mark.parametrize(
    ("heading", "expected"),
    [
        ("Run", "abc"),
        ("N", "bac"),  # as numbers
        ("Resolution", "cab"),  # the validated one; none is the worst
        ("Started", "acb"),
    ],
)
def test_rows_are_sorted_by_the_values_of_a_column(table, heading, expected):
    table.sort(heading)
    assert names(table) == expected
    table.sort(heading, descending=True)
    assert names(table) == expected[::-1]


@pytest.mark.parametrize(
    ("heading", "first"),
    [("Verdict", "a"), ("Note", "c"), ("K", "c")],  # verdict: reliable; with a note; most classes
)
def test_the_rows_without_a_value_are_sorted_last(table, heading, first):
    table.sort(heading, descending=heading == "K")
    assert names(table)[0] == first


def test_a_resolution_that_was_not_validated_is_marked(table):
    assert [table.text(row, "Resolution") for row in range(3)] == [
        "–",
        "≈ 9.5 Å (FSC 0.5)",
        "10.2 Å (FSC 0.143)",
    ]


@pytest.mark.parametrize(
    ("words", "expected"), [("d2", "a"), ("JUNK no", "c"), ("/runs", "bca"), ("D2 junk", "")]
)
def test_the_search_leaves_runs_with_all_its_words(table, words, expected):
    table.search.setText(words)
    assert names(table) == expected
    shown = "3 runs" if len(expected) == 3 else f"{len(expected)} of 3 runs"
    assert table.count.text() == shown


def test_the_selection_belongs_to_the_runs_not_to_the_rows(table):
    table.choose(Path("/runs/a"))
    table.sort("N")
    assert [found.folder.name for found in table.selected] == ["a"]
    table.fill([entry("new", day=9), *table.entries])
    assert [found.folder.name for found in table.selected] == ["a"]
    table.search.setText("new")
    assert table.selected == []


def test_only_notes_can_be_edited(table):
    model = table.view.model()
    editable = [
        bool(model.flags(model.index(0, column)) & model.flags(model.index(0, NOTE)).ItemIsEditable)
        for column in range(len(HEADINGS))
    ]
    assert [heading for heading, can in zip(HEADINGS, editable, strict=True) if can] == ["Note"]


def test_a_double_click_opens_a_run_except_on_its_note(table):
    opened = []
    table.opened.connect(opened.append)
    table.view.doubleClicked.emit(table.view.model().index(1, NOTE))
    assert opened == []
    table.view.doubleClicked.emit(table.view.model().index(1, 0))
    assert [found.folder.name for found in opened] == ["c"]


def test_a_note_that_is_edited_keeps_its_lines(table):
    saved = []
    table.note_edited.connect(lambda _, text: saved.append(text))
    table.fill([entry("a", note="first\n\nsecond")])
    index = table.view.model().index(0, NOTE)
    assert index.data() == "first second"
    shown = index.data(Qt.ItemDataRole.EditRole)
    table.view.model().setData(index, shown)
    assert saved == []
    table.view.model().setData(index, f"{shown} and more")
    assert saved == ["first\n\nsecond and more"]


def test_no_cell_has_no_value(table):
    model = table.view.model().sourceModel()
    assert model.data(QModelIndex(), Qt.ItemDataRole.DisplayRole) is None
    assert not model.setData(QModelIndex(), "note")
