"""A file that is not what its checksum says stops the highstate and leaves what runs untouched."""

import json

from kaas_lab.paths import ARTIFACTS
from laboratory import difference

PROGRAM = "crictl"


def test_wrong_checksum_is_refused(cluster):
    """The state names the file, the expected and the actual sum; the installed program stays, and nothing was restarted."""
    node = cluster.workers[-1]
    version = cluster.versions[PROGRAM]
    index = json.loads((ARTIFACTS / "index.json").read_text())
    entry = index["artifacts"][PROGRAM][version]["linux-amd64"][PROGRAM]
    actual, entry["sha256"] = entry["sha256"], "0" * 64
    before = cluster.fingerprint([node])
    with cluster.replaced("salt", "/srv/artifacts/index.json", json.dumps(index)):
        found = cluster.highstate(node)
        state = found.state(cluster.id(node), f"{PROGRAM}-installed")
    assert state["result"] is False
    for part in (f"/{PROGRAM}/{version}/linux-amd64/{PROGRAM}", f"expected sha256 {'0' * 64}", f"actual {actual}"):
        assert part in state["comment"], state["comment"]
    assert difference(before, cluster.fingerprint([node])) == {}
    assert version in cluster.exec(node, PROGRAM, "--version").stdout
    cluster.highstate(node).assert_clean()
