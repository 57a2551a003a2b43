"""Reading the Kubernetes API with the standard library alone: a kubectl per question would load what is measured."""

from __future__ import annotations

import base64
import http.client
import json
import os
import ssl
import tempfile
import urllib.parse
from pathlib import Path
from typing import Any

import yaml


class Api:
    """One cluster's API by an operator's kubeconfig (everything inline). Every question is one connection: the API
    address may move between two of them.
    """

    def __init__(self, kubeconfig: Path, timeout: float = 5) -> None:
        config = yaml.safe_load(kubeconfig.read_text())
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        parts = urllib.parse.urlsplit(cluster["server"])
        self.host, self.port, self.timeout = str(parts.hostname), parts.port or 443, timeout
        authority = base64.b64decode(cluster["certificate-authority-data"]).decode()
        self.context = ssl.create_default_context(cadata=authority)
        # the ssl module reads key pairs from files only
        with tempfile.TemporaryDirectory() as work:
            pair = Path(work) / "pair.pem"
            pair.touch(mode=0o600)
            pair.write_bytes(
                base64.b64decode(user["client-certificate-data"]) + b"\n" + base64.b64decode(user["client-key-data"])
            )
            self.context.load_cert_chain(os.fspath(pair))

    def get(self, path: str) -> dict[str, Any] | None:
        """The object or list at an API path; None when it is not there or the API does not answer."""
        connection = http.client.HTTPSConnection(self.host, self.port, timeout=self.timeout, context=self.context)
        try:
            connection.request("GET", path, headers={"Accept": "application/json"})
            reply = connection.getresponse()
            body = reply.read()
            return json.loads(body) if reply.status == 200 else None
        except (OSError, http.client.HTTPException, ValueError):
            return None
        finally:
            connection.close()
