"""A file is written whole or not at all, and read as far as it is whole."""

import os

import pytest

from mbrl_taskmet.whole_files import replacing, whole_lines


def interrupted(path):
    with replacing(path) as part:
        part.write_text("half")
        assert path.read_text() == "old"
        raise KeyboardInterrupt


def test_an_interruption_leaves_the_old_file_alone(tmp_path):
    path = tmp_path / "results.csv"
    path.write_text("old")
    with pytest.raises(KeyboardInterrupt):
        interrupted(path)
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [(path.name, "old")]


def test_the_new_file_has_the_rights_of_the_old_one_and_a_link_stays_one(tmp_path):
    path, link = tmp_path / "results.csv", tmp_path / "link.csv"
    path.write_text("old")
    path.chmod(0o640)
    link.symlink_to(path)
    with replacing(link) as part:
        part.write_text("new")
    assert link.is_symlink()
    assert path.read_text() == "new"
    assert path.stat().st_mode & 0o777 == 0o640
    with replacing(tmp_path / "first.csv") as part:
        part.write_text("new")
    assert (tmp_path / "first.csv").read_text() == "new"


def test_two_processes_that_write_at_a_time_leave_the_whole_file_of_the_last(tmp_path, monkeypatch):
    path = tmp_path / "results.csv"
    with replacing(path) as first:
        first.write_text("first")
        monkeypatch.setattr(os, "getpid", lambda: -1)
        with replacing(path) as second:
            second.write_text("second")
        assert path.read_text() == "second"
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [(path.name, "first")]


@pytest.mark.parametrize(
    ("text", "lines"),
    [("", []), ("a,1", []), ("a,1\n", ["a,1\n"]), ("a,1\r\nb,2\r\nc", ["a,1\r\n", "b,2\r\n"])],
)
def test_a_last_line_that_does_not_end_is_none(tmp_path, text, lines):
    path = tmp_path / "lines.csv"
    path.write_text(text, newline="")
    assert whole_lines(path) == lines
