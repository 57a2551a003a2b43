"""The gateway: requests from outside led by host name, by Ingress and by Gateway API, each with the right certificate."""

import datetime
import http.client
import socket
import ssl

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from polling import Loop, eventually

HIGHLY_AVAILABLE = False
HTTP, HTTPS = 31080, 31443
INGRESS, ROUTE = "ingress.kaas.test", "route.kaas.test"
# Unknown host names get the certificate of the cluster file; a route's are the Gateway's, which is the same one.
OWN, DEFAULT = "own", "default"


def certificate(common_name, *names):
    """A Secret's data: a self-signed certificate for these host names."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, common_name)])
    now = datetime.datetime.now(datetime.UTC)
    builder = x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number(), now, now + datetime.timedelta(days=1))
    found = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), False).sign(key, hashes.SHA256())
    pem = serialization.Encoding.PEM
    plain = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return {"tls.crt": found.public_bytes(pem).decode(), "tls.key": plain.decode()}


def secret(namespace, name, data):
    meta = {"name": name, "namespace": namespace}
    return {"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls", "metadata": meta, "stringData": data}


def backend(**port):
    return {"name": "frontend", **port}


def objects(name):
    """An Ingress with a certificate of its own, and a route of the default Gateway, both to the demo."""
    path = {"path": "/", "pathType": "Prefix", "backend": {"service": backend(port={"number": 80})}}
    meta = {"name": name, "namespace": "demo"}
    return [
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "Ingress",
            "metadata": meta,
            "spec": {"tls": [{"hosts": [INGRESS], "secretName": name}], "rules": [{"host": INGRESS, "http": {"paths": [path]}}]},
        },
        {
            "apiVersion": "gateway.networking.k8s.io/v1",
            "kind": "HTTPRoute",
            "metadata": meta,
            "spec": {
                "parentRefs": [{"name": "default", "namespace": "traefik"}],
                "hostnames": [ROUTE],
                "rules": [{"backendRefs": [backend(port=80)]}],
            },
        },
    ]


def ask(address, host, tls):
    """Return ``(status, common name of the certificate or None)`` of a request for a host name."""
    plain = socket.create_connection((address, HTTPS if tls else HTTP), timeout=5)
    with plain:
        name = None
        connection = plain
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # the test looks at the certificate itself
            connection = context.wrap_socket(plain, server_hostname=host)
            found = x509.load_der_x509_certificate(connection.getpeercert(binary_form=True))
            name = found.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)[0].value
        client = http.client.HTTPConnection(address)
        client.sock = connection
        client.request("GET", "/api", headers={"Host": host, "Connection": "close"})
        with client.getresponse() as answer:
            answer.read()
            status = answer.status
        connection.close()
        return status, name


def expect(address, host, tls, expected):
    found = ask(address, host, tls)
    assert found == expected, f"{host} {'https' if tls else 'http'}: {found}"
    return True


@pytest.fixture(scope="module")
def address(cluster):
    """Where the gateway answers, with a certificate of its own, an Ingress and a route; all is gone afterwards."""
    node = cluster.nodes[0]
    change = {"gateway": {"plugin": "traefik", "traefik": {"certificate": "test-gateway"}}}
    with cluster.edited(change):
        cluster.highstate().assert_fine()
        cluster.create(
            secret("traefik", "test-gateway", certificate(DEFAULT, "*.kaas.test")),
            secret("demo", "test-gateway", certificate(OWN, INGRESS)),
            *objects("test-gateway"),
        )
        yield cluster.address(node)
        cluster.kubectl("delete", "--namespace=demo", "ingress,httproute,secret", "test-gateway")
        cluster.kubectl("delete", "--namespace=traefik", "secret", "test-gateway")
    cluster.highstate().assert_fine()
    cluster.highstate().assert_clean()


@pytest.mark.parametrize(
    ("host", "tls", "expected"),
    [
        (INGRESS, False, (200, None)),
        (INGRESS, True, (200, OWN)),
        (ROUTE, False, (200, None)),
        (ROUTE, True, (200, DEFAULT)),
        ("other.kaas.test", False, (404, None)),
        ("other.kaas.test", True, (404, DEFAULT)),
    ],
)
def test_requests_are_led_by_host_name(address, host, tls, expected):
    eventually(lambda: expect(address, host, tls, expected), 60, f"{host}: {expected}")


def test_a_host_of_nobody_gets_the_default_certificate(address):
    """Read from a file that the kubelet refreshes: a Secret that came later, or changed, needs no restart."""
    eventually(lambda: expect(address, "somebody.example.org", True, (404, DEFAULT)), 180, "the default certificate")


def test_a_route_that_goes_answers_no_more(cluster, address):
    eventually(lambda: expect(address, ROUTE, False, (200, None)), 60, "the route")
    cluster.kubectl("delete", "--namespace=demo", "httproute", "test-gateway")
    eventually(lambda: expect(address, ROUTE, False, (404, None)), 60, "the route to be gone")
    eventually(lambda: expect(address, INGRESS, False, (200, None)), 10, "the Ingress beside it")
    cluster.create(*objects("test-gateway"))
    eventually(lambda: expect(address, ROUTE, False, (200, None)), 60, "the route again")


def test_new_pods_of_the_gateway_lose_no_request(cluster, address):
    eventually(lambda: expect(address, ROUTE, False, (200, None)), 60, "the route")
    before = {pod["metadata"]["name"] for pod in cluster.pods("traefik")}

    def gone():
        return not before & {pod["metadata"]["name"] for pod in cluster.get("pods", "--namespace=traefik")["items"]}

    with Loop(lambda: expect(address, ROUTE, False, (200, None)), every=0.05, threads=2) as loop:
        cluster.kubectl("rollout", "restart", "--namespace=traefik", "deployment/traefik")
        cluster.kubectl("rollout", "status", "--namespace=traefik", "deployment/traefik", "--timeout=120s", timeout=130)
        eventually(gone, 90, "the former pods to be gone")
    assert len(loop.attempts) > 50 and not loop.failed, loop.report()


def test_the_gateway_may_change_nothing(cluster, address):
    """Its account reads what it leads to and writes states of routes: no more."""
    who = "--as=system:serviceaccount:traefik:traefik"

    def may(*words):
        return cluster.kubectl("auth", "can-i", *words, who, check=False).stdout.strip().startswith("yes")

    assert may("list", "ingresses.networking.k8s.io", "--all-namespaces")
    for words in (["create", "pods"], ["update", "secrets"], ["patch", "services"], ["delete", "ingresses.networking.k8s.io"], ["get", "pods/log"]):
        assert not may(*words, "--all-namespaces"), words
