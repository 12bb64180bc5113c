"""A file is written whole or not at all, as the file system wants it to be."""

import os
import stat
from pathlib import Path

import pytest

from po_optimizer.files import Staged, read_whole, write_whole
from po_optimizer.files.atomic import remove_leftovers


def test_the_folder_is_made_and_nothing_else_is_left(tmp_path):
    """One file, readable for others as the umask says."""
    path = tmp_path / "deep" / "file.txt"
    mask = os.umask(0o027)
    try:
        write_whole(path, "ñ\n")
    finally:
        os.umask(mask)
    assert path.read_text(encoding="utf-8") == "ñ\n"
    assert path.stat().st_mode & 0o777 == 0o640
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


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o664, 0o444])
def test_a_replaced_file_keeps_its_mode(tmp_path, mode):
    """What was private stays so."""
    path = tmp_path / "file.txt"
    path.write_text("old")
    path.chmod(mode)
    write_whole(path, "new")
    assert stat.S_IMODE(path.stat().st_mode) == mode


def test_a_new_file_is_as_private_as_its_model(tmp_path):
    """What is written beside a private file is private."""
    model = tmp_path / "model"
    model.touch(mode=0o600)
    staged = Staged(tmp_path / "new", like=model)
    staged.commit()
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o600


def test_a_link_stays_and_its_target_is_replaced(tmp_path):
    """Whoever reads the target reads the new text."""
    target, link = tmp_path / "there" / "file", tmp_path / "link"
    target.parent.mkdir()
    target.write_text("old")
    link.symlink_to(target)
    write_whole(link, "new")
    assert link.is_symlink()
    assert target.read_text() == "new"


def test_a_link_to_nothing_gets_its_target(tmp_path):
    """As when a file is opened for writing."""
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "file")
    write_whole(link, "new")
    assert (tmp_path / "file").read_text() == "new"


@pytest.fixture(params=["pipe", "folder", "device", "large"])
def unusual(request, tmp_path):
    """Something that is no document, and what it is."""
    path = tmp_path / "document"
    if request.param == "device":
        return Path("/dev/zero"), "a device"
    if request.param == "pipe":
        os.mkfifo(path)
        return path, "a named pipe"
    if request.param == "folder":
        path.mkdir()
        return path, "a folder"
    with path.open("wb") as file:
        file.truncate(3 * 2**30)
    return path, "3,221,225,472 bytes"


def test_what_is_no_document_is_refused_unread(unusual):
    """By its kind or its size, at once."""
    path, kind = unusual
    with pytest.raises(OSError, match=kind):
        read_whole(path)


@pytest.mark.parametrize("name", ["pipe", "null"])
def test_only_a_plain_file_is_replaced(tmp_path, name):
    """A device or a pipe stays what it is."""
    path = Path("/dev/null")
    if name == "pipe":
        path = tmp_path / "pipe"
        os.mkfifo(path)
    before = path.stat().st_mode
    with pytest.raises(OSError, match="not a file"):
        write_whole(path, "text")
    assert path.stat().st_mode == before


def kill_while_staged(path):
    """A writer that dies with a staged file."""
    child = os.fork()
    if child == 0:
        Staged(path).write(b"half")
        os._exit(9)
    os.waitpid(child, 0)


def test_what_a_killed_writer_left_is_removed(tmp_path):
    """By the next writer in the folder, of whatever file, at once."""
    kill_while_staged(tmp_path / "one")
    assert len(list(tmp_path.iterdir())) == 1
    write_whole(tmp_path / "other", "text")
    assert [path.name for path in tmp_path.iterdir()] == ["other"]


def test_what_another_writer_stages_stays(tmp_path):
    """A writer that lives is told from one that was killed."""
    staged = Staged(tmp_path / "one")
    staged.write(b"slow")
    assert remove_leftovers(tmp_path)
    write_whole(tmp_path / "other", "text")
    staged.commit()
    assert (tmp_path / "one").read_bytes() == b"slow"


@pytest.mark.parametrize("name", [".env.tmp", ".one.123-abc.tmp", "a.1-12345678.tmp"])
def test_a_file_that_is_not_ours_stays(tmp_path, name):
    """Only names as we give them are leftovers."""
    (tmp_path / name).touch()
    write_whole(tmp_path / "other", "text")
    assert (tmp_path / name).exists()
