import os

import pytest

from po_optimizer.whole_file import write_whole


def test_the_folder_is_made_and_nothing_else_is_left(tmp_path):
    """One file, readable for others."""
    path = tmp_path / "deep" / "file.txt"
    write_whole(path, "ñ\n")
    assert path.read_text(encoding="utf-8") == "ñ\n"
    assert path.stat().st_mode & 0o777 == 0o644
    assert list(path.parent.iterdir()) == [path]


def test_what_the_disk_refuses_changes_nothing(tmp_path, monkeypatch):
    """The old text stands, and no part of the new one lies beside it."""
    path = tmp_path / "file.txt"
    write_whole(path, "old")

    def refuse(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(OSError, match="No space left"):
        write_whole(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
