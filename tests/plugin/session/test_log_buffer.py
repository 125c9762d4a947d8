"""The buffer of log lines, without a window."""

import logging

import pytest

from napari_ini3d.plugin.session.log_buffer import LINES, LogTail
from napari_ini3d.runs.log_file import log_to_file

package = logging.getLogger("napari_ini3d")


@pytest.fixture
def tail():
    return LogTail()


def line(number, level="INFO"):
    return f"2026-11-22 10:00:00 {level:7s} {number}"


def test_lines_are_kept_with_the_level_of_their_message(tail):
    tail.add([line(1), line(2, "WARNING"), "more of it"])
    tail.add(["and more"])
    assert [each.level for each in tail.lines_after(0)] == [20, 30, 30, 30]
    assert [each.text for each in tail.lines_after(2)] == ["more of it", "and more"]


def test_no_more_than_the_last_lines_are_kept(tail):
    tail.add(line(number) for number in range(LINES + 10))
    lines = tail.lines_after(0)
    assert len(lines) == LINES
    assert lines[0].text == line(10)
    assert tail.lines_after(tail.count) == []


def test_the_levels_of_a_log_file_are_recognised(tail, tmp_path):
    path = tmp_path / "log.txt"
    with log_to_file(path):
        package.info("one")
        package.warning("two")
        try:
            raise ValueError("three")
        except ValueError:
            package.exception("four")
    tail.reset(path)
    lines = tail.lines_after(0)
    assert [each.level for each in lines[:3]] == [20, 30, 40]
    assert {each.level for each in lines[3:]} == {40}, "the traceback has the level of its message"
    assert [each.text for each in lines] == path.read_text().splitlines()


def test_only_the_end_of_a_long_file_is_read(tail, tmp_path):
    path = tmp_path / "log.txt"
    path.write_text("".join(f"{line(i)}\n" for i in range(2 * LINES)))
    tail.reset(path)
    assert tail.count == LINES
    assert tail.lines_after(0)[-1].text == line(2 * LINES - 1)


def test_a_missing_or_binary_log_file_is_no_error(tail, tmp_path):
    tail.reset(tmp_path / "none")
    assert tail.lines_after(0) == []
    path = tmp_path / "log.txt"
    path.write_bytes(b"\xff\xfe\n")
    tail.reset(path)
    assert len(tail.lines_after(0)) == 1


def test_after_a_reset_the_log_has_only_the_lines_of_the_file(tail, tmp_path):
    tail.add([line("old")])
    before = tail.count
    path = tmp_path / "log.txt"
    path.write_text(line("x", "ERROR") + "\n")
    tail.reset(path)
    assert [each.text for each in tail.lines_after(0)] == [line("x", "ERROR")]
    assert tail.lines_after(before) == tail.lines_after(0)
    assert tail.resets == 1
    tail.reset()
    assert tail.lines_after(0) == []
