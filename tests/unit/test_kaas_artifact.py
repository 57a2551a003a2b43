"""Artifacts against a real HTTP server on loopback: verified, switched in one step, or nothing changed."""

import functools
import hashlib
import http.server
import io
import os
import tarfile
import threading

import kaas_artifact
import pytest


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """Serve a folder; return ``(folder, base URL)``."""
    folder = tmp_path_factory.mktemp("repository")
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    handler.log_message = lambda *args: None
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as httpd:
        threading.Thread(target=httpd.serve_forever, daemon=True).start()
        yield folder, f"http://127.0.0.1:{httpd.server_port}"
        httpd.shutdown()


def publish(server, name, content):
    """Serve ``content`` as ``name``; return the pillar's entry for it."""
    folder, url = server
    (folder / name).write_bytes(content)
    return {"name": name, "url": f"{url}/{name}", "sha256": hashlib.sha256(content).hexdigest()}


def test_fetch_makes_an_executable_that_the_quick_check_accepts(server, tmp_path):
    entry = publish(server, "tool", b"#!/bin/sh\n")
    assert kaas_artifact.missing([entry], tmp_path) == [entry]
    kaas_artifact.fetch([entry], tmp_path)
    assert (tmp_path / "tool").read_bytes() == b"#!/bin/sh\n"
    assert os.access(tmp_path / "tool", os.X_OK)
    assert kaas_artifact.missing([entry], tmp_path) == []
    assert kaas_artifact.verify([entry], tmp_path) == []


def test_a_wrong_checksum_names_file_expected_and_actual_and_changes_nothing(server, tmp_path):
    good = publish(server, "tool", b"good")
    kaas_artifact.fetch([good], tmp_path)
    other = publish(server, "other", b"other")
    bad = {**publish(server, "tool", b"evil"), "sha256": "0" * 64}
    before = sorted((path.name, path.read_bytes()) for path in tmp_path.iterdir())
    with pytest.raises(kaas_artifact.Mismatch) as error:
        kaas_artifact.fetch([other, bad], tmp_path)
    text = str(error.value)
    assert bad["url"] in text and "0" * 64 in text and hashlib.sha256(b"evil").hexdigest() in text
    assert sorted((path.name, path.read_bytes()) for path in tmp_path.iterdir()) == before


@pytest.mark.parametrize("damage", ["truncate", "replace", "mode", "remove"])
def test_the_quick_check_sees_damage(server, tmp_path, damage):
    entry = publish(server, "tool", b"content")
    kaas_artifact.fetch([entry], tmp_path)
    path = tmp_path / "tool"
    if damage == "truncate":
        path.write_bytes(b"")
    elif damage == "replace":
        (tmp_path / "x").write_bytes(b"tnetnoc")
        os.replace(tmp_path / "x", path)
    elif damage == "mode":
        path.chmod(0o777)
    else:
        path.unlink()
    assert kaas_artifact.missing([entry], tmp_path) == [entry]


def test_verify_sees_what_the_quick_check_cannot(server, tmp_path):
    entry = publish(server, "tool", b"content")
    kaas_artifact.fetch([entry], tmp_path)
    path = tmp_path / "tool"
    stat = path.stat()
    with open(path, "r+b") as handle:
        handle.write(b"CONTENT")
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert kaas_artifact.missing([entry], tmp_path) == []
    assert "expected sha256" in kaas_artifact.verify([entry], tmp_path)[0]


def test_a_missing_url_is_named(server, tmp_path):
    entry = {"name": "gone", "url": f"{server[1]}/gone", "sha256": "0" * 64}
    with pytest.raises(OSError, match="/gone: HTTP 404"):
        kaas_artifact.fetch([entry], tmp_path)


def test_upstream_archive_with_published_checksums(server, tmp_path):
    folder, url = server
    with tarfile.open(folder / "release.tar.gz", "w:gz") as archive:
        info = tarfile.TarInfo("bin/tool")
        info.size = 4
        archive.addfile(info, io.BytesIO(b"tool"))
    sums = hashlib.sha256((folder / "release.tar.gz").read_bytes()).hexdigest()
    (folder / "SHA256SUMS").write_text(f"{'1' * 64}  other.tar.gz\n{sums}  release.tar.gz\n", encoding="utf-8")
    entry = {"name": "tool", "url": f"{url}/release.tar.gz", "checksum": f"{url}/SHA256SUMS", "member": "bin/tool"}
    kaas_artifact.fetch([entry], tmp_path)
    assert (tmp_path / "tool").read_bytes() == b"tool"
    assert kaas_artifact.missing([entry], tmp_path) == []
    with pytest.raises(kaas_artifact.Mismatch, match="holds no file bin/absent"):
        kaas_artifact.fetch([{**entry, "name": "absent", "member": "bin/absent"}], tmp_path)
    (folder / "SHA256SUMS").write_text(f"{'1' * 64}  release.tar.gz\n", encoding="utf-8")
    with pytest.raises(kaas_artifact.Mismatch, match="expected sha256 1111"):
        kaas_artifact.fetch([{**entry, "name": "again"}], tmp_path)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a" * 64, "a" * 64),
        (f"{'A' * 64}\n", "a" * 64),
        (f"{'b' * 64}  x\n{'c' * 64}  tool\n", "c" * 64),
        (f"{'c' * 64} *./dir/tool\n", "c" * 64),
    ],
)
def test_published_checksum(text, expected):
    assert kaas_artifact.published_checksum(text, "tool") == expected


@pytest.mark.parametrize("text", ["", f"{'b' * 64}  x\n", f"{'b' * 64}\n{'c' * 64}\n"])
def test_published_checksum_that_does_not_name_the_file(text):
    with pytest.raises(kaas_artifact.Mismatch):
        kaas_artifact.published_checksum(text, "tool")


def test_links_switch_in_one_step_and_lead_to_the_version(tmp_path):
    files = [{"name": "tool", "url": "x"}]
    bin_dir = tmp_path / "bin"
    kaas_artifact.link(["tool"], "/opt/kaas/tool/1", bin_dir)
    assert kaas_artifact.unlinked(files, "/opt/kaas/tool/1", bin_dir) == []
    assert kaas_artifact.unlinked(files, "/opt/kaas/tool/2", bin_dir) == ["tool"]
    kaas_artifact.link(["tool"], "/opt/kaas/tool/2", bin_dir)
    assert os.readlink(bin_dir / "tool") == "/opt/kaas/tool/2/tool"
    assert [path.name for path in bin_dir.iterdir()] == ["tool"]


INDEX = """
apiVersion: v1
entries:
  web:
    - {version: 1.0.1, digest: BBBB, urls: ["https://charts.example.com/web-1.0.1.tgz"]}
    - {version: 1.0.0, digest: "sha256:aaaa", urls: [web-1.0.0.tgz]}
    - {version: 0.9.0, urls: [web-0.9.0.tgz]}
"""


@pytest.mark.parametrize(("name", "digest"), [("web-1.0.1.tgz", "bbbb"), ("web-1.0.0.tgz", "aaaa")])
def test_chart_repositories_publish_digests_in_their_index(name, digest):
    assert kaas_artifact.chart_checksum(INDEX, name) == digest


@pytest.mark.parametrize(
    ("index", "says"), [(INDEX, "does not name web-0.9.0.tgz"), ("entries: []", "can't be read"), ("{", "can't be read"), ("<html>", "can't be read")]
)  # fmt: skip
def test_an_index_without_the_digest(index, says):
    with pytest.raises(kaas_artifact.Mismatch, match=says):
        kaas_artifact.chart_checksum(index, "web-0.9.0.tgz")


def test_a_chart_stays_an_archive_and_is_verified_by_the_index(server, tmp_path):
    root, url = server
    (root / "web-1.tgz").write_bytes(b"an archive")
    digest = hashlib.sha256(b"an archive").hexdigest()
    (root / "index.yaml").write_text(f"entries: {{web: [{{digest: {digest}, urls: [web-1.tgz]}}]}}")
    entry = {"name": "web.tgz", "url": f"{url}/web-1.tgz", "checksum": f"{url}/index.yaml"}
    kaas_artifact.fetch([entry], tmp_path / "there")
    assert (tmp_path / "there" / "web.tgz").read_bytes() == b"an archive"
    (root / "web-1.tgz").write_bytes(b"another")
    with pytest.raises(kaas_artifact.Mismatch, match=digest):
        kaas_artifact.fetch([entry], tmp_path / "other")
    assert not (tmp_path / "other" / "web.tgz").exists()
