"""A Distribution registry of our own for the length of a push, and what it keeps on disk."""
from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import yaml

from .errors import BuildError
from .recipes import Image, read_yaml

STORAGE = "docker/registry/v2"      # layout of Distribution's filesystem driver below its root
START_LIMIT = 30                    # seconds until it answers
PUSH_LIMIT = 600                    # seconds for one image


@contextlib.contextmanager
def serving(program: Path, config: Path, root: Path, work: Path) -> Iterator[str]:
    """Run `program` (writable, on a free port of 127.0.0.1, storage in `root`); yields `127.0.0.1:PORT`; ends it after.

    The settings are those of the run-time configuration but for address, root and the read-only mode.
    """
    settings = read_yaml(config)
    settings["storage"]["filesystem"]["rootdirectory"] = str(root)
    settings["storage"]["maintenance"].pop("readonly", None)
    with socket.socket() as probe:      # were the port taken before the registry binds it, it would end and say so
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    settings["http"]["addr"] = address
    own = work / "registry.yml"
    own.write_text(yaml.safe_dump(settings), encoding="utf-8")
    root.mkdir(parents=True, exist_ok=True)
    log = work / "registry.log"
    env = {key: value for key, value in os.environ.items() if not key.startswith(("REGISTRY_", "OTEL_"))}
    env["OTEL_TRACES_EXPORTER"] = "none"        # else it looks for a collector on localhost
    with log.open("wb") as stream:
        process = subprocess.Popen([program, "serve", own], stdin=subprocess.DEVNULL, stdout=stream,
                                   stderr=subprocess.STDOUT, env=env, start_new_session=True)
    try:
        _wait(process, address, log)
        yield address
    finally:
        process.terminate()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait(process: subprocess.Popen, address: str, log: Path) -> None:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))       # never through a proxy
    end = time.monotonic() + START_LIMIT
    while time.monotonic() < end and process.poll() is None:
        with contextlib.suppress(OSError, urllib.error.URLError), opener.open(f"http://{address}/v2/", timeout=2):
            return
        time.sleep(0.05)
    raise BuildError(f"the registry on {address} did not answer in {START_LIMIT} s; its log: {log}\n"
                     + log.read_text(encoding="utf-8", errors="replace")[-1500:])


def push(crane: Path, layout: Path, image: Image, address: str) -> None:
    """Push an OCI layout under the image's repository path and tag."""
    env = {key: value for key, value in os.environ.items() if not key.lower().endswith("_proxy")}
    done = subprocess.run([crane, "push", "--insecure", layout, f"{address}/{image.repository}:{image.tag}"], env=env,
                          capture_output=True, text=True, timeout=PUSH_LIMIT)
    if done.returncode:
        raise BuildError(f"crane push of {image.ref} failed: {done.stderr.strip()[-800:]}")


def stored_files(root: Path, image: Image, digest: str) -> list[Path]:
    """All files that must lie under `root` for the image to be served: blobs, links, tag. Refuses another digest."""
    base = root / STORAGE
    repository = base / "repositories" / image.repository
    tag = repository / "_manifests" / "tags" / image.tag / "current" / "link"
    held = tag.read_text(encoding="ascii").strip()
    if held != digest:
        raise BuildError(f"{tag}: the registry holds {held} for {image.ref}, made was {digest}")

    def blob(name: str) -> Path:
        value = name.removeprefix("sha256:")
        return base / "blobs" / "sha256" / value[:2] / value / "data"

    manifest = json.loads(blob(digest).read_text(encoding="utf-8"))
    parts = [manifest["config"]["digest"], *(entry["digest"] for entry in manifest["layers"])]
    links = [repository / "_layers" / "sha256" / part.removeprefix("sha256:") / "link" for part in parts]
    revision = repository / "_manifests" / "revisions" / "sha256" / digest.removeprefix("sha256:") / "link"
    return [tag, revision, blob(digest), *links, *map(blob, parts)]
