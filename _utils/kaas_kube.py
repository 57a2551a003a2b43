"""A small client for the Kubernetes API: one kept connection, JSON objects in and out, bounded retries.

It covers what KaaS needs (get, list, server-side apply, merge patch, delete, discovery, readiness) over urllib3,
which Salt itself brings. The official Python client would add more than 100 MB to each node and half a second to
each run. Nothing heavy is imported before the first client is made.

Objects are plain dicts as in a manifest. Every failure is a `KubeError` (reachable as `client.Error`, because code
loaded by Salt can't import this module) whose text names the server or the object and what the server said.

Source of the protocol: kubernetes.io/docs/reference/using-api (API concepts, server-side apply).
"""

from __future__ import annotations

import base64
import json
import os
import tempfile
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode, urlsplit

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterable, Mapping

Object = dict[str, Any]

#: Field manager of everything KaaS applies; the owner of a field that `kubectl --show-managed-fields` names.
MANAGER = "kaas"
APPLY = "application/apply-patch+yaml"
MERGE = "application/merge-patch+json"
#: Answers that say "not now": too many requests, a gateway or server that is starting, stopping or overloaded.
BUSY = (429, 502, 503, 504)


class KubeError(Exception):
    """A request that failed.

    status: HTTP status, 0 when no answer came; reason: Kubernetes' word for it ("NotFound", "Conflict", ...);
    fields: the field paths that the server complained about; about: the kind of thing the server could not find;
    unreachable: True when no API server answered at all.
    """

    def __init__(
        self,
        message: str,
        status: int = 0,
        reason: str = "",
        fields: Iterable[str] = (),
        about: str = "",
        unreachable: bool = False,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason
        self.fields = tuple(fields)
        self.about = about
        self.unreachable = unreachable


def client(kubeconfig: str, context: str | None = None, patience: float = 20) -> Client:
    """Return a `Client` for a kubeconfig file.

    kubeconfig: path; context: a context of the file, by default its current one;
    patience: seconds for which one request is tried again while the API is busy or unreachable.
    """
    return Client(load_kubeconfig(kubeconfig, context), patience)


def load_kubeconfig(path: str, context: str | None = None) -> Object:
    """Read what a client needs from a kubeconfig file.

    Returns {"server": url, "server_name": str|None, "insecure": bool, "token": str|None, "ca", "cert", "key": ...},
    each of the last three None, {"file": path} (relative ones lie beside the kubeconfig) or {"data": bytes}.
    Raises KubeError naming the file and the missing part.
    """
    import yaml

    try:
        with open(path, encoding="utf-8") as stream:
            config = yaml.safe_load(stream) or {}
    except OSError as error:
        raise KubeError(f"kubeconfig {path}: {error.strerror}", unreachable=error.errno == 2) from error
    except yaml.YAMLError as error:
        raise KubeError(f"kubeconfig {path} is not YAML: {error.__class__.__name__}") from error

    def entry(section: str, inner: str, wanted: object) -> Object:
        for item in config.get(section) or []:
            if item.get("name") == wanted:
                return item.get(inner) or {}
        raise KubeError(f"kubeconfig {path}: no entry '{wanted}' under '{section}'")

    def material(source: Object, key: str) -> Object | None:
        if source.get(f"{key}-data"):
            return {"data": base64.b64decode(source[f"{key}-data"])}
        if source.get(key):
            return {"file": os.path.join(os.path.dirname(os.path.abspath(path)), source[key])}
        return None

    chosen = entry("contexts", "context", context or config.get("current-context"))
    cluster = entry("clusters", "cluster", chosen.get("cluster"))
    user = entry("users", "user", chosen.get("user"))
    if not str(cluster.get("server", "")).startswith("https://"):
        raise KubeError(f"kubeconfig {path}: cluster '{chosen.get('cluster')}' needs an https server address")
    return {
        "server": cluster["server"].rstrip("/"),
        "server_name": cluster.get("tls-server-name"),
        "insecure": bool(cluster.get("insecure-skip-tls-verify")),
        "ca": material(cluster, "certificate-authority"),
        "cert": material(user, "client-certificate"),
        "key": material(user, "client-key"),
        "token": user.get("token"),
    }


def tls_context(config: Object) -> ssl.SSLContext:
    """Return the `ssl.SSLContext` for a configuration as `load_kubeconfig` returns it."""
    import ssl

    ca = config["ca"] or {}
    try:
        # With a CA named, Python does not read the system's own bundle: only this cluster's CA counts.
        data = ca["data"].decode() if "data" in ca else None
        context = ssl.create_default_context(cafile=ca.get("file"), cadata=data)
        if config["insecure"]:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if config["cert"]:
            with _as_file(config["cert"]) as cert, _as_file(config["key"] or config["cert"]) as key:
                context.load_cert_chain(cert.name, key.name)
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError; its text never holds the key
        parts = [config[key] or {} for key in ("ca", "cert", "key")]
        names = ", ".join(part["file"] for part in parts if "file" in part)
        raise KubeError(f"can't load the certificates of the kubeconfig ({names or 'embedded'}): {error}") from error
    return context


def _as_file(material: Object) -> Any:
    """Return an open file with a `name`: Python's TLS loads client keys from files only."""
    if "file" in material:
        return open(material["file"], "rb")
    holder = tempfile.NamedTemporaryFile(prefix="kaas-kube-")  # noqa: SIM115 (mode 0600, gone when closed)
    holder.write(material["data"])
    holder.flush()
    return holder


class Client:
    """One API server connection. Not for use by several threads at once."""

    @property
    def Error(self) -> type[KubeError]:
        """The class to catch. Looked up late: Salt's loader may execute this file again, which makes a new class."""
        return KubeError

    def __init__(self, config: Object, patience: float = 20) -> None:
        import urllib3

        self.server = config["server"]
        self.patience = patience
        self._http_error = urllib3.exceptions.HTTPError
        self._resources: dict[str, dict[str, Object]] = {}
        self._headers = {"Accept": "application/json", "User-Agent": "kaas"}
        if config["token"]:
            self._headers["Authorization"] = f"Bearer {config['token']}"
        address = urlsplit(self.server)
        self._prefix = address.path
        self._pool = urllib3.HTTPSConnectionPool(
            address.hostname,
            address.port or 443,
            ssl_context=tls_context(config),
            server_hostname=config["server_name"],
            assert_hostname=config["server_name"],
            timeout=urllib3.Timeout(connect=3, read=35),
            retries=urllib3.Retry.from_int(False),  # ours know Kubernetes' answers
            maxsize=1,
        )

    # -- requests ---------------------------------------------------------------------------------------------

    def request(
        self,
        method: str,
        path: str,
        query: Mapping[str, object] | None = None,
        body: Object | None = None,
        content_type: str = "application/json",
        patience: float | None = None,
    ) -> Any:
        """Send one request and return the decoded answer (text when it isn't JSON).

        Every request KaaS makes may be repeated safely, so all are tried again, with growing pauses, for `patience`
        seconds. Raises KubeError with the last failure.
        """
        url = self._prefix + path + (f"?{urlencode(query)}" if query else "")
        headers = {**self._headers, "Content-Type": content_type} if body is not None else self._headers
        data = json.dumps(body).encode() if body is not None else None
        deadline = time.monotonic() + (self.patience if patience is None else patience)
        pause = 0.1
        for attempt in range(1, 1000):
            wait = pause
            try:
                answer = self._pool.urlopen(method, url, body=data, headers=headers)
            except self._http_error as error:
                failure = self._no_answer(error)
            else:
                payload = _decode(answer.data)
                if answer.status < 300:
                    return payload
                failure = _refusal(answer.status, payload, f"{method} {path}")
                wait = max(pause, min(_seconds(answer.headers.get("Retry-After")), 5))
            if not _worth_retrying(failure, attempt, body) or time.monotonic() + wait > deadline:
                raise failure
            time.sleep(wait)
            pause = min(pause * 2, 1)
        raise failure

    def _no_answer(self, error: Exception) -> KubeError:
        import ssl

        cause: BaseException | None = error
        while cause is not None and not isinstance(cause, ssl.SSLCertVerificationError):
            cause = cause.__cause__ or cause.__context__
        if cause is not None:  # waiting does not cure a wrong certificate
            return KubeError(
                f"{self.server}: its certificate is not accepted: {cause.verify_message}; "
                "check the API's certificate names and the CA in the kubeconfig",
            )
        text = str(error).rpartition("): ")[2]  # without "HTTPSConnection(host=..., port=...): "
        return KubeError(f"{self.server} does not answer: {text}", unreachable=True)

    def wait_ready(self, timeout: float) -> Any:
        """Wait at most `timeout` seconds until the API server says that it is ready; 0 asks once."""
        try:
            return self.request("GET", "/readyz", patience=timeout)
        except KubeError as error:
            if error.status == 500:  # /readyz itself answers 500 with the list of its checks
                raise KubeError(f"{self.server} is not ready", status=503, unreachable=True) from error
            raise

    # -- discovery --------------------------------------------------------------------------------------------

    def resource(self, api_version: str, kind: str, fresh: bool = False) -> Object:
        """Return {"path": "/apis/apps/v1", "plural": "deployments", "namespaced": True} of a kind.

        One request per API version and client; `fresh` asks again. Raises KubeError with reason "NoKind" when the
        server does not know the kind (yet).
        """
        base = f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"
        if fresh or api_version not in self._resources:
            try:
                found = self.request("GET", base)["resources"]
            except KubeError as error:
                if error.status != 404:
                    raise
                raise KubeError(f"the API does not serve {api_version}", 404, "NoKind") from error
            self._resources[api_version] = {
                item["kind"]: {"path": base, "plural": item["name"], "namespaced": item["namespaced"]}
                for item in found
                if "/" not in item["name"]  # subresources such as deployments/scale
            }
        try:
            return self._resources[api_version][kind]
        except KeyError:
            raise KubeError(f"the API serves no kind {kind} in {api_version}", 404, "NoKind") from None

    def preferred_version(self, group: str) -> str:
        """Return the apiVersion that the server prefers for a group ("" is the core group)."""
        if not group:
            return "v1"
        try:
            return self.request("GET", f"/apis/{quote(group)}")["preferredVersion"]["groupVersion"]
        except KubeError as error:
            if error.status != 404:
                raise
            raise KubeError(f"the API does not serve the group {group}", 404, "NoKind") from error

    def url(self, api_version: str, kind: str, namespace: str | None = None, name: str | None = None) -> str:
        """Return the path of a collection or of one object of it."""
        resource = self.resource(api_version, kind)
        parts = [resource["path"]]
        if resource["namespaced"] and namespace:
            parts.append(f"namespaces/{quote(namespace)}")
        parts.append(resource["plural"])
        if name:
            if resource["namespaced"] and not namespace:
                raise KubeError(f"{kind} {name}: metadata.namespace is missing")
            if not resource["namespaced"] and namespace:
                raise KubeError(f"{kind} {name}: has no namespace; remove metadata.namespace")
            parts.append(quote(name, safe=""))
        return "/".join(parts)

    # -- objects ----------------------------------------------------------------------------------------------

    def get(self, api_version: str, kind: str, name: str, namespace: str | None = None) -> Object | None:
        """Return the object, or None when it does not exist."""
        path = self.url(api_version, kind, namespace, name)
        try:
            return self.request("GET", path)
        except KubeError as error:
            if error.status == 404:
                return None
            raise

    def list(
        self, api_version: str, kind: str, namespace: str | None = None, labels: str | None = None
    ) -> list[Object]:
        """Return the objects of a kind, of all namespaces by default. labels: a label selector."""
        path = self.url(api_version, kind, namespace)
        query: Object = {"limit": 500, **({"labelSelector": labels} if labels else {})}
        items: Any = []
        while True:
            page = self.request("GET", path, query)
            # The items of a list don't repeat what they are.
            items += [{"apiVersion": api_version, "kind": kind, **item} for item in page.get("items") or []]
            token = page["metadata"].get("continue")
            if not token:
                return items
            query["continue"] = token

    def apply(self, obj: Object, manager: str = MANAGER, force: bool = True, dry_run: bool = False) -> Object:
        """Server-side apply one object and return it as the server has it now (or would have it: dry_run).

        force: take over fields that another manager set. Unknown fields are refused, not dropped.
        """
        meta = obj["metadata"]
        path = self.url(obj["apiVersion"], obj["kind"], meta.get("namespace"), meta["name"])
        query = {"fieldManager": manager, "force": str(force).lower(), "fieldValidation": "Strict"}
        if dry_run:
            query["dryRun"] = "All"
        return self.request("PATCH", path, query, obj, APPLY)

    def merge(
        self,
        api_version: str,
        kind: str,
        name: str,
        patch: Object,
        namespace: str | None = None,
        manager: str = MANAGER,
        subresource: str = "",
    ) -> Object:
        """Merge-patch an object that exists, or a subresource of it such as ``status``, and return it."""
        path = self.url(api_version, kind, namespace, name) + (f"/{subresource}" if subresource else "")
        return self.request("PATCH", path, {"fieldManager": manager, "fieldValidation": "Strict"}, patch, MERGE)

    def delete(self, obj: Object, propagation: str = "Background") -> None:
        """Delete an object (its dependents follow); one that is gone already is no error."""
        meta = obj["metadata"]
        path = self.url(obj["apiVersion"], obj["kind"], meta.get("namespace"), meta["name"])
        # The uid keeps a namesake safe that was made after we looked.
        options: Object = {"propagationPolicy": propagation}
        if meta.get("uid"):
            options["preconditions"] = {"uid": meta["uid"]}
        try:
            self.request("DELETE", path, body=options)
        except KubeError as error:
            if error.status != 404:
                raise


def _decode(data: bytes) -> Any:
    try:
        return json.loads(data)
    except ValueError:
        return data.decode(errors="replace")


def _seconds(text: str | None) -> float:
    try:
        return float(text or 0)
    except ValueError:  # an HTTP date: rare, the growing pause will do
        return 0


def _refusal(status: int, payload: Any, what: str) -> KubeError:
    """Turn an answer other than 2xx into a KubeError; `payload` is a Kubernetes Status or text."""
    if not isinstance(payload, dict):
        return KubeError(f"{what}: HTTP {status}: {str(payload).strip()[:300]}", status)
    details = payload.get("details") or {}
    causes = details.get("causes") or []
    return KubeError(
        str(payload.get("message") or f"{what}: HTTP {status}"),
        status,
        payload.get("reason", ""),
        [cause["field"] for cause in causes if cause.get("field")],
        details.get("kind", ""),
    )


def _worth_retrying(failure: KubeError, attempt: int, body: Object | None) -> bool:
    """Say whether the same request may succeed a little later."""
    if failure.unreachable or failure.status in BUSY:
        return True
    text = str(failure)
    if failure.status == 500:
        # A webhook or etcd that is not up yet; any other server error may be ours, so only a second look.
        return "webhook" in text or "etcd" in text or "/readyz" in text or attempt < 3
    # Two writers met inside the server. Not so when fields are in conflict, or when we asked for this very refusal.
    meta = (body or {}).get("metadata") or {}
    ours = failure.fields or "uid" in meta or "resourceVersion" in meta or "preconditions" in (body or {})
    return failure.status == 409 and not ours and attempt < 5
