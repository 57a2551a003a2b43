"""A stand-in for the Kubernetes API on loopback: enough of it for the object states, and any failure on demand.

What the real server does with the same states is shown in tests/live/test_objects_live.py; this one is for what a real
one does at bad moments only: refusals, races, deletions that hang, groups that come late.
"""

import copy
import datetime
import http.server
import ipaddress
import json
import ssl
import threading
import urllib.parse

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

CORE = {"ConfigMap": True, "Secret": True, "Pod": True, "Service": True, "Namespace": False, "Node": False}
APPS = {"Deployment": True, "DaemonSet": True, "StatefulSet": True}
EXTENSIONS = {"CustomResourceDefinition": False}
BUILT_IN = {"v1": CORE, "apps/v1": APPS, "apiextensions.k8s.io/v1": EXTENSIONS}


class Refusal(Exception):
    """An answer other than 200: ``Refusal(409, "Conflict", "text", details)``."""

    def __init__(self, status, reason, message="no", **details):
        super().__init__(message)
        self.status = status
        self.body = {"kind": "Status", "reason": reason, "message": message, "details": details}


class Api:
    """
    The server's state.

    ``objects``: {(apiVersion, kind, namespace, name): object}; ``requests``: [(method, path)] of all that changed or
    would change something; ``kinds``: {apiVersion: {kind: namespaced}}; ``refuse``: a function of (method, path, body,
    query) that may raise a Refusal or an answer's dictionary before the server looks at a request.
    """

    def __init__(self):
        self.objects, self.requests, self.kinds = {}, [], copy.deepcopy(BUILT_IN)
        self.refuse = lambda method, path, body, query: None
        self.ready = True
        self._version = 0
        for name in ("default", "kube-system"):
            self.put({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})

    def put(self, obj, manager=None):
        """Store an object as it is (with a uid and a version of its own); return it."""
        meta = obj["metadata"]
        key = (obj["apiVersion"], obj["kind"], meta.get("namespace", ""), meta["name"])
        self._version += 1
        live = copy.deepcopy(obj)
        live["metadata"] = {"uid": f"uid-{self._version}", **live["metadata"], "resourceVersion": str(self._version)}
        if manager:
            live["metadata"]["managedFields"] = [
                {"manager": manager, "operation": "Apply", "fieldsV1": _fields(obj)}
            ]  # fmt: skip
        self.objects[key] = live
        if obj["kind"] == "CustomResourceDefinition":
            self.kinds.setdefault(f"{obj['spec']['group']}/v1", {})[obj["spec"]["names"]["kind"]] = True
        return live

    def find(self, kind, name, namespace=""):
        """Return a stored object by kind and name, or None."""
        for (_, have, space, called), obj in self.objects.items():
            if (have, space, called) == (kind, namespace, name):
                return obj
        return None

    # -- requests -------------------------------------------------------------------------------------------------

    def answer(self, method, path, query, body):
        """Return the answer to a request, or raise Refusal."""
        if method != "GET":
            self.requests.append((method, path))
        given = self.refuse(method, path, body, query)
        if given is not None:
            return given
        if path == "/readyz":
            if not self.ready:
                raise Refusal(500, "InternalError", "[-]etcd failed: reason withheld\nreadyz check failed")
            return "ok"
        parts = path.strip("/").split("/")
        version, rest = (parts[1], parts[2:]) if parts[0] == "api" else ("/".join(parts[1:3]), parts[3:])
        if parts[0] == "apis" and len(parts) == 2:
            found = [known for known in self.kinds if known.startswith(f"{parts[1]}/")]
            if not found:
                raise Refusal(404, "NotFound", "the server could not find the requested resource")
            return {"preferredVersion": {"groupVersion": found[0]}}
        if version not in self.kinds:
            raise Refusal(404, "NotFound", "the server could not find the requested resource")
        if not rest:
            kinds = self.kinds[version].items()
            names = [{"name": _plural(kind), "kind": kind, "namespaced": spaced} for kind, spaced in kinds]
            return {"resources": [*names, {"name": "deployments/scale", "kind": "Scale", "namespaced": True}]}
        namespace = rest[1] if rest[0] == "namespaces" and len(rest) > 2 else ""
        plural, *name = rest[2:] if namespace else rest
        kind = next(kind for kind in self.kinds[version] if _plural(kind) == plural)
        if not name:
            return self._list(version, kind, namespace, query)
        return getattr(self, f"_{method.lower()}")((version, kind, namespace, name[0]), query, body)

    def _list(self, version, kind, namespace, query):
        wanted = dict(pair.split("=", 1) for pair in query.get("labelSelector", "").split(",") if pair)
        found = [
            {key: value for key, value in obj.items() if key not in ("apiVersion", "kind")}
            for (api, have, space, _), obj in self.objects.items()
            if (api, have) == (version, kind)
            and namespace in ("", space)
            and wanted.items() <= (obj["metadata"].get("labels") or {}).items()
        ]
        return {"items": found, "metadata": {}}

    def _get(self, key, query, body):
        if key not in self.objects:
            raise Refusal(404, "NotFound", f'{key[1].lower()} "{key[3]}" not found', kind=_plural(key[1]))
        return self.objects[key]

    def _patch(self, key, query, body):
        if key[2] and ("v1", "Namespace", "", key[2]) not in self.objects:
            raise Refusal(404, "NotFound", f'namespaces "{key[2]}" not found', kind="namespaces", name=key[2])
        before = self.objects.get(key)
        meta = body["metadata"]
        if "force" not in query:  # a merge patch
            if meta.get("resourceVersion") not in (None, before["metadata"]["resourceVersion"]):
                raise Refusal(409, "Conflict", "the object has been modified")
            live = _merged(before, {**body, "metadata": {"annotations": meta.get("annotations", {})}})
            live["metadata"]["annotations"] = {k: v for k, v in live["metadata"]["annotations"].items() if v is not None}
            return self.put(live)
        if meta.get("uid") and (before is None or before["metadata"]["uid"] != meta["uid"]):
            raise Refusal(409, "Conflict", "uid mismatch: the provided object specified uid, which does not exist")
        after = _merged(before or {}, body)
        if before and _same(before, after):
            return before
        if query.get("dryRun"):
            return {**after, "metadata": {"uid": "new", **after["metadata"], "resourceVersion": "dry"}}
        live = self.put(after, query["fieldManager"])
        live["metadata"]["managedFields"][0]["fieldsV1"] = _fields(body)
        return live

    def _delete(self, key, query, body):
        live = self._get(key, query, body)
        if live["metadata"].get("finalizers"):
            live["metadata"]["deletionTimestamp"] = "2026-11-23T12:00:00Z"
        else:
            del self.objects[key]
        return {"kind": "Status", "status": "Success"}


def _plural(kind):
    return kind.lower() + "s"


def _merged(old, new):
    if not isinstance(old, dict) or not isinstance(new, dict):
        return copy.deepcopy(new)
    return {**old, **{key: _merged(old.get(key), value) for key, value in new.items()}}


def _same(one, other):
    return _bare(one) == _bare(other)


def _bare(obj):
    meta = {key: value for key, value in obj["metadata"].items() if key not in ("managedFields", "resourceVersion")}
    return {**obj, "metadata": meta}


def _fields(obj):
    """The managed fields of an applied object, without those of its identity."""
    if not isinstance(obj, dict):
        return {}
    return {
        f"f:{key}": _fields(value) for key, value in obj.items() if key not in ("apiVersion", "kind", "name", "uid")
    }


# -- the server ---------------------------------------------------------------------------------------------------


class Handler(http.server.BaseHTTPRequestHandler):
    """One connection; ``server.api`` answers."""

    protocol_version = "HTTP/1.1"
    # One packet for head and body: else each answer waits 40 ms for the client's acknowledgement.
    wbufsize = -1

    def _serve(self):
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length)) if length else None
        url = urllib.parse.urlsplit(self.path)
        try:
            status, answer = 200, self.server.api.answer(
                self.command, url.path, dict(urllib.parse.parse_qsl(url.query)), body
            )  # fmt: skip
        except Refusal as refusal:
            status, answer = refusal.status, refusal.body
        data = answer.encode() if isinstance(answer, str) else json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_PATCH = do_DELETE = _serve

    def log_message(self, *args):
        pass


def certificate(folder):
    """Write server.crt and server.key, self-signed for 127.0.0.1; return their paths."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "api")])
    now = datetime.datetime.now(datetime.UTC)
    local = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + datetime.timedelta(days=1))
        .add_extension(local, False)
        .add_extension(x509.BasicConstraints(True, None), True)
        .sign(key, hashes.SHA256())
    )
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    (folder / "server.crt").write_bytes(made.public_bytes(pem))
    (folder / "server.key").write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain))
    return folder / "server.crt", folder / "server.key"


def serve(folder):
    """Start a server with its certificate in ``folder``; return it with ``api`` to be set and ``url``."""
    cert, key = certificate(folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.url = f"https://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def kubeconfig(path, url, ca):
    """Write a kubeconfig for the server; return its path as text."""
    config = {
        "current-context": "test",
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
        "clusters": [{"name": "test", "cluster": {"server": url, "certificate-authority": str(ca)}}],
        "users": [{"name": "test", "user": {"token": "t"}}],
    }
    path.write_text(yaml.safe_dump(config))
    return str(path)
