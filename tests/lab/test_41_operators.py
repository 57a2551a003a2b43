"""`salt-run kaas.kubeconfig`: for whom, for which groups and for how long is honoured; nobody becomes Kubernetes' own."""

import base64
import datetime

import pytest
import yaml
from cryptography import x509
from kubeapi import Api
from polling import eventually

WHOAMI = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
REVIEW = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
FILE = "/run/kaas-test-operator.conf"


@pytest.fixture
def issue(cluster, tmp_path):
    """A function that has a kubeconfig made on the Salt master and returns its path on this host; removed there afterwards."""

    def make(**wanted):
        words = [f"{key}={value}" for key, value in wanted.items()]
        done = cluster.exec("salt", "salt-run", "kaas.kubeconfig", cluster.name, f"path={FILE}", *words, check=False)
        if cluster.exec("salt", "test", "-e", FILE, check=False).returncode:
            return done.stdout + done.stderr
        assert cluster.exec("salt", "stat", "-c", "%a %U", FILE).stdout.strip() == "600 root"
        copy = tmp_path / "operator.conf"
        copy.write_text(cluster.exec("salt", "cat", FILE).stdout)
        return copy

    yield make
    cluster.exec("salt", "rm", "-f", FILE)


def lifetime(path):
    """How long the certificate of a kubeconfig is good, from now."""
    pem = yaml.safe_load(path.read_text())["users"][0]["user"]["client-certificate-data"]
    certificate = x509.load_pem_x509_certificate(base64.b64decode(pem))
    return certificate.not_valid_after_utc - datetime.datetime.now(datetime.UTC)


def test_user_and_groups_are_honoured(cluster, issue):
    """The API knows exactly the user and the groups that were asked for; without a binding they may do nothing."""
    path = issue(user="jane", groups="developers,testers", hours=1)
    assert datetime.timedelta(minutes=50) < lifetime(path) <= datetime.timedelta(hours=1)
    api = Api(path)
    found = api.call("POST", WHOAMI, REVIEW)["status"]["userInfo"]
    assert (found["username"], set(found["groups"])) == ("jane", {"developers", "testers", "system:authenticated"})
    with pytest.raises(OSError, match="HTTP 403"):
        api.get("/api/v1/nodes")


def test_an_expired_one_is_refused(cluster, issue):
    """A certificate of some seconds works, and then no more."""
    api = Api(issue(user="jane", hours=0.003))
    assert api.call("POST", WHOAMI, REVIEW)["status"]["userInfo"]["username"] == "jane"

    def refused():
        try:
            api.call("POST", WHOAMI, REVIEW)
        except OSError as error:
            # 401, or the server ends the handshake
            return "HTTP 403" not in str(error)
        return False

    eventually(refused, 60, "the expired certificate to be refused", every=1)
    cluster.api().get("/api/v1/nodes")


@pytest.mark.parametrize(
    "wanted",
    [
        {"user": "system:kube-scheduler"},
        {"user": "jane", "groups": "system:masters"},
        {"user": "jane", "groups": "developers,system:nodes"},
        {"user": "jane", "hours": 721},
        {"user": "jane", "hours": 0},
    ],
    ids=lambda wanted: " ".join(map(str, wanted.values())),
)
def test_what_the_ca_minion_does_not_sign(cluster, issue, wanted):
    """Kubernetes' own users and groups, and certificates for ever: no file is written, and the reason is told."""
    said = issue(**wanted)
    assert isinstance(said, str), f"a kubeconfig was made: {lifetime(said)}"
    assert "system:" in said or "hours must be" in said, said
