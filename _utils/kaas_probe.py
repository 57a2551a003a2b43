"""One question to a server, and bounded waiting for the answer."""

import http.client
import ssl
import time
import urllib.parse


def http_get(url, ca=None, cert=None, key=None, verify=True, timeout=3):
    """Return ``(status, first 200 characters of the body)`` of one GET.

    url
        ``http://`` or ``https://``.
    ca
        PEM file that the server's certificate must chain to. Required for https.
    cert, key
        PEM files of a client certificate.
    verify
        False only for a server on loopback that makes its own certificate at every start.
    timeout
        Seconds, for connecting and for each read.

    Raises OSError (ssl.SSLError and connection errors are among them) or http.client.HTTPException.
    """
    parts = urllib.parse.urlsplit(url)
    connection: http.client.HTTPConnection
    if parts.scheme == "https":
        # Without a CA file the default context would read the system's whole bundle: 30 ms for nothing.
        context = ssl.create_default_context(cafile=ca) if verify else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        if not verify:
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        if cert:
            context.load_cert_chain(cert, key)
        connection = http.client.HTTPSConnection(parts.hostname, parts.port or 443, timeout=timeout, context=context)
    else:
        connection = http.client.HTTPConnection(parts.hostname, parts.port or 80, timeout=timeout)
    try:
        connection.request("GET", parts.path + (f"?{parts.query}" if parts.query else ""))
        response = connection.getresponse()
        return response.status, response.read(200).decode(errors="replace")
    finally:
        connection.close()


def wait_http(url, timeout=60, interval=0.2, **tls):
    """Ask ``url`` until it answers 200, at most ``timeout`` seconds.

    Returns None, or a text that says what the last answer was. ``tls`` as for :func:`http_get`.
    """
    deadline = time.monotonic() + timeout
    while True:
        try:
            status, body = http_get(url, **tls)
            if status == 200:
                return None
            last = f"HTTP {status}: {' '.join(body.split())}"
        except (OSError, http.client.HTTPException) as error:
            last = str(error) or type(error).__name__
        if time.monotonic() >= deadline:
            return f"{url} did not answer 200 within {timeout} s; last: {last}"
        time.sleep(interval)
