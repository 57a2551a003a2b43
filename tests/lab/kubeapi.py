"""The Kubernetes API without kubectl: for loops that ask many times a second."""

import base64
import json
import os
import ssl
import tempfile
import urllib.error
import urllib.request

import yaml
from polling import DIRECT


class Api:
    """Calls one API address as the user of an operator's kubeconfig (certificates inline)."""

    def __init__(self, kubeconfig, server=None):
        config = yaml.safe_load(kubeconfig.read_text())
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        self.server = server or cluster["server"]
        self.ca = base64.b64decode(cluster["certificate-authority-data"]).decode()
        self.context = ssl.create_default_context(cadata=self.ca)
        with tempfile.NamedTemporaryFile() as pem:
            pem.write(
                base64.b64decode(user["client-certificate-data"]) + b"\n" + base64.b64decode(user["client-key-data"])
            )
            pem.flush()
            os.chmod(pem.name, 0o600)
            self.context.load_cert_chain(pem.name)

    def call(self, method, path, body=None, timeout=3, content="application/json"):
        """One request on a new connection; return the parsed answer. Raises OSError for anything but 2xx."""
        request = urllib.request.Request(self.server + path, method=method)
        if body is not None:
            request.data = json.dumps(body).encode()
            request.add_header("Content-Type", content)
        opener = urllib.request.build_opener(DIRECT, urllib.request.HTTPSHandler(context=self.context))
        try:
            with opener.open(request, timeout=timeout) as reply:
                return json.loads(reply.read() or b"{}")
        except urllib.error.HTTPError as error:
            with error:
                raise OSError(
                    f"{method} {path}: HTTP {error.code}: {error.read().decode(errors='replace')[:300]}"
                ) from None

    def get(self, path, timeout=3):
        """GET an object."""
        return self.call("GET", path, timeout=timeout)

    def write(self, name, value, timeout=3):
        """Set key `value` of ConfigMap default/`name` (made when missing); return the object. One write to etcd each."""
        path = "/api/v1/namespaces/default/configmaps"
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"value": str(value)}}
        content = "application/apply-patch+yaml"
        return self.call("PATCH", f"{path}/{name}?fieldManager=kaas-test&force=true", body, timeout, content)
