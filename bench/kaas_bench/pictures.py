"""Images that only kubeadm needs, under upstream's names: made from the built programs, put into the lab's registry.

They lie in the same registry storage as the project's own images; their stamps lie apart (build/bench), so that the
artifact index names only what the project itself uses.
"""

from __future__ import annotations

import io
import platform
import subprocess
import tarfile
import tempfile
from pathlib import Path

from kaas_artifacts import images, registry, stamps
from kaas_artifacts.errors import BuildError
from kaas_artifacts.recipes import Image
from kaas_lab import machines
from kaas_lab.cluster import Cluster
from kaas_lab.errors import LabError
from kaas_lab.paths import ARTIFACTS, BUILD, ROOT
from kaas_lab.run import environment, tail
from kaas_lab.ui import say

from . import flannel_pods, kubeadm_config

STATE = BUILD / "bench"
FLANNEL = "registry.kaas.local/bench-flannel:1"
ARCHITECTURE = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
PLATFORM = f"linux-{ARCHITECTURE}"
# programs of the machines that kube-proxy and flanneld call, with everything that they load
PROXY_TOOLS = ["/usr/sbin/nft", "/usr/sbin/conntrack"]
FLANNEL_TOOLS = [
    *("/usr/sbin/nft", "/usr/sbin/iptables", "/usr/sbin/iptables-save", "/usr/sbin/iptables-restore"),
    *("/usr/sbin/ip6tables", "/usr/sbin/ip6tables-save", "/usr/sbin/ip6tables-restore"),
    *("/bin/sh", "/bin/cat", "/bin/cp", "/bin/mkdir", "/bin/sleep"),
]
# prints a tar file of the named programs and of the libraries that they need, links followed, names as asked for
COLLECT = """set -e
{ for p in "$@"; do echo "$p"; ldd "$p" | grep -o '/[^ ]*'; done; ls -d /usr/lib/*/xtables/*.so; } | sort -u |
  tar --create --dereference --absolute-names --files-from=-
"""


def program(component: str, version: str, name: str) -> Path:
    """A built program in the artifact repository."""
    return ARTIFACTS / component / version / PLATFORM / name


def wanted(versions: dict[str, str], proxy: dict[str, Path], flannel: dict[str, Path]) -> list[tuple[Image, dict]]:
    """Images and the files in them. proxy, flannel: {path in the image: file} of the tools beside the programs."""
    kubernetes, etcd = versions["kubernetes"], versions["etcd"]
    found: list[tuple[Image, dict[str, Path]]] = []

    def add(name: str, ref: str, files: dict[str, Path], **settings: object) -> None:
        named = {target: str(target) for target in files}
        found.append((Image(name=name, ref=ref, files=named, **settings), files))

    for name in ("kube-apiserver", "kube-controller-manager", "kube-scheduler"):
        files = {f"/usr/local/bin/{name}": program("kubernetes", kubernetes, name)}
        add(name, f"registry.k8s.io/{name}:v{kubernetes}", files, entrypoint=(f"/usr/local/bin/{name}",))
    add(
        "kube-proxy",
        f"registry.k8s.io/kube-proxy:v{kubernetes}",
        {"/usr/local/bin/kube-proxy": program("kubernetes", kubernetes, "kube-proxy"), **proxy},
        entrypoint=("/usr/local/bin/kube-proxy",),
        dirs={"/tmp": "1777"},
    )
    add(
        "etcd",
        f"registry.k8s.io/etcd:{kubeadm_config.etcd_tag(versions)}",
        {f"/usr/local/bin/{name}": program("etcd", etcd, name) for name in ("etcd", "etcdctl")},
        cmd=("/usr/local/bin/etcd",),
    )
    add(
        "flannel",
        FLANNEL,
        {"/flanneld": program("flannel", versions["flannel"], "flanneld"), **flannel},
        cmd=("/start",),
        dirs={"/tmp": "1777", "/run": "755"},
    )
    return [(image, {target: [path] for target, path in files.items()}) for image, files in found]


def tools(cluster: Cluster, programs: list[str], folder: Path) -> dict[str, Path]:
    """{path in the image: file below `folder`} of a machine's programs and libraries."""
    argv = machines.command(cluster, cluster.salt, ["sh", "-c", COLLECT, "sh", *programs])
    # not kaas_lab.run: a tar file is no text
    done = subprocess.run(
        argv, stdin=subprocess.DEVNULL, capture_output=True, env=environment(), timeout=60, check=False
    )
    if done.returncode:
        problem = tail(done.stderr.decode(errors="replace"))
        raise LabError(f"collecting {', '.join(programs)} from machine salt:\n{problem}")
    found = {}
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
        for member in archive:
            stream = archive.extractfile(member)
            if stream is None:
                continue
            path = folder / member.name.lstrip("/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(stream.read())
            path.chmod(member.mode)
            found["/" + member.name.lstrip("/")] = path
    return found


def ensure(cluster: Cluster, versions: dict[str, str]) -> None:
    """Make and push what is not in the registry yet. Needs a running machine `salt` (its tools go into two images)."""
    (STATE / "tmp").mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=STATE / "tmp") as name:
        work = Path(name)
        start = work / "start"
        start.write_text(flannel_pods.START)
        start.chmod(0o755)
        flannel = {**tools(cluster, FLANNEL_TOOLS, work / "flannel"), "/start": start}
        todo = [
            (image, files)
            for image, files in wanted(versions, tools(cluster, PROXY_TOOLS, work / "proxy"), flannel)
            if not _current(image, files)
        ]
        if not todo:
            return
        serve = program("registry", versions["registry"], "registry")
        crane = program("crane", versions["crane"], "crane")
        config = ROOT / "artifacts" / "registry.yml"
        try:
            with registry.serving(serve, config, ARTIFACTS / "registry", work) as address:
                for image, files in todo:
                    say(f"    {image.ref}")
                    images.make(image, files, ARCHITECTURE, out=ARTIFACTS, state=STATE, crane=crane, address=address)
        except BuildError as err:
            raise LabError(f"images for kubeadm: {err}") from err


def _current(image: Image, files: dict[str, list[Path]]) -> bool:
    for paths in files.values():
        for path in paths:
            if not path.is_file():
                raise LabError(f"{path} is missing: artifacts/build makes it")
    stamp = stamps.read(stamps.path_of(STATE, image.id))
    return stamps.is_current(stamp, images.key_of(image, files, ARCHITECTURE), ARTIFACTS)
