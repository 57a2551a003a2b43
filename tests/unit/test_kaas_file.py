"""Small files that matter: whole or not at all, with the right owner and mode from the first moment."""

import os
import stat

import kaas_file
import pytest


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_write_makes_folders_and_replaces_in_one_step(tmp_path):
    path = tmp_path / "a" / "b" / "file"
    before = os.umask(0o077)
    try:
        kaas_file.write(path, "one", mode=0o640, directory_mode=0o750)
    finally:
        os.umask(before)
    assert (path.read_text(), mode(path)) == ("one", 0o640)
    assert [mode(folder) for folder in (tmp_path / "a", path.parent)] == [0o750, 0o750]
    with path.open() as reader:
        kaas_file.write(path, "two", owner=(os.getuid(), os.getgid()))
        assert reader.read() == "one", "a reader that is under way keeps what it opened"
    assert (path.read_text(), mode(path)) == ("two", 0o644)
    assert [entry.name for entry in path.parent.iterdir()] == ["file"]


def test_a_folder_that_exists_keeps_its_mode(tmp_path):
    (tmp_path / "a").mkdir(mode=0o700)
    kaas_file.make_directory(tmp_path / "a" / "b", 0o755)
    assert (mode(tmp_path / "a"), mode(tmp_path / "a" / "b")) == (0o700, 0o755)


def test_a_write_that_fails_leaves_nothing(tmp_path):
    (tmp_path / "folder").mkdir()
    with pytest.raises(IsADirectoryError):
        kaas_file.write(tmp_path / "folder", "text")
    # Nothing can be encoded of a lone surrogate.
    with pytest.raises(UnicodeEncodeError):
        kaas_file.write(tmp_path / "file", "\udc80")
    assert [entry.name for entry in tmp_path.iterdir()] == ["folder"]


def test_write_once(tmp_path):
    path = tmp_path / "file"
    assert kaas_file.write_once(path, "first") is True
    assert kaas_file.write_once(path, "second") is False
    assert (path.read_text(), mode(path)) == ("first", 0o600)
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("function", [kaas_file.read, kaas_file.mode, kaas_file.owner])
def test_what_is_not_there_is_none(tmp_path, function):
    (tmp_path / "file").write_text("x")
    assert function(tmp_path / "none") is None
    assert function(tmp_path / "file" / "below") is None


def test_read(tmp_path):
    path = tmp_path / "file"
    path.write_bytes("déjà".encode())
    assert kaas_file.read(path) == "déjà"
    assert kaas_file.read(path, limit=3) == "dé"
    path.write_bytes(b"\xff\xfe")
    assert kaas_file.read(path) is None, "what is no text is no certificate either"


def test_mode_and_owner(tmp_path):
    path = tmp_path / "file"
    path.touch()
    path.chmod(0o4711)
    assert kaas_file.mode(path) == 0o4711
    assert kaas_file.owner(path) == (os.getuid(), os.getgid())
