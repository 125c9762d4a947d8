"""The buffer of log lines, without a window."""

import logging
import re
import threading

import pytest

from napari_ini3d.plugin.session.log_buffer import LINES, LogTail, read_log
from napari_ini3d.runs.log_file import log_to_file

package = logging.getLogger("napari_ini3d")


@pytest.fixture
def tail(tmp_path):
    tail = LogTail()
    tail.listen(tmp_path / "log.txt")
    yield tail
    tail.leave()


def texts(lines):
    return [line.text[9:].lstrip() for line in lines]


def test_lines_are_kept_with_their_level(tail):
    package.info("one")
    package.warning("two\nthree")
    assert [line.level for line in tail.lines_after(0)] == [20, 30, 30]
    assert texts(tail.lines_after(1)) == ["WARNING two", ""]


def test_messages_of_another_run_are_ignored(tail, tmp_path):
    def other_run():
        with log_to_file(tmp_path / "other.txt"):
            package.info("of the other")

    thread = threading.Thread(target=other_run)
    thread.start()
    thread.join()
    with log_to_file(tmp_path / "log.txt"):
        package.info("of this one")
    assert texts(tail.lines_after(0)) == ["INFO    of this one"]


def test_no_more_than_the_last_lines_are_kept(tail):
    for number in range(LINES + 10):
        package.info("line %d", number)
    lines = tail.lines_after(0)
    assert len(lines) == LINES
    assert lines[0].text.endswith("line 10")
    assert tail.lines_after(tail.count) == []


def test_a_log_file_is_read_with_the_same_lines_and_levels(tmp_path, tail):
    path = tmp_path / "log.txt"
    with log_to_file(path):
        package.info("one")
        package.warning("two")
        try:
            raise ValueError("three")
        except ValueError:
            package.exception("four")
    logged, read = tail.lines_after(0), read_log(path)
    assert [line.level for line in read] == [line.level for line in logged]
    assert {line.level for line in read} == {20, 30, 40}
    undated = [re.sub(r"^\d{4}-\d\d-\d\d ", "", line.text) for line in read]
    assert undated == [line.text for line in logged]


def test_only_the_end_of_a_long_file_is_read(tmp_path):
    path = tmp_path / "log.txt"
    path.write_text("".join(f"2026-11-22 10:00:00 INFO    {i}\n" for i in range(2 * LINES)))
    lines = read_log(path)
    assert len(lines) == LINES
    assert lines[-1].text == f"2026-11-22 10:00:00 INFO    {2 * LINES - 1}"


def test_a_missing_or_binary_log_file_is_no_error(tmp_path):
    assert read_log(tmp_path / "none") == []
    path = tmp_path / "log.txt"
    path.write_bytes(b"\xff\xfe\n")
    assert len(read_log(path)) == 1


def test_after_a_reset_the_log_has_only_the_lines_of_the_file(tmp_path, tail):
    package.info("old")
    before = tail.count
    path = tmp_path / "log.txt"
    path.write_text("2026-11-22 10:00:00 ERROR   x\n")
    tail.reset(path)
    assert [line.text for line in tail.lines_after(0)] == ["2026-11-22 10:00:00 ERROR   x"]
    assert tail.lines_after(before) == tail.lines_after(0)
    assert tail.resets == 1
    tail.reset()
    assert tail.lines_after(0) == []
