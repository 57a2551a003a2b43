"""Questions to a server: HTTP and HTTPS on loopback, with and without certificates, and what is said of no answer."""

import http.server
import ssl
import threading

import apiserver
import kaas_probe
import pytest


class Answers(http.server.BaseHTTPRequestHandler):
    """Answers with the server's next ``(status, text)``; the last one for ever."""

    def do_GET(self):
        answers = self.server.answers
        status, text = answers.pop(0) if len(answers) > 1 else answers[0]
        self.server.asked.append(self.path)
        self.send_response(status)
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *args):
        pass


@pytest.fixture
def serve(tmp_path):
    """Return a function that starts a server with these answers, by TLS if asked, and returns it with its ``url``."""
    started = []

    def start(*answers, tls=False):
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers)
        server.answers, server.asked = list(answers), []
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            server.cert, server.key = (str(path) for path in apiserver.certificate(tmp_path))
            context.load_cert_chain(server.cert, server.key)
            if tls == "mutual":
                context.verify_mode = ssl.CERT_REQUIRED
                context.load_verify_locations(server.cert)
            server.socket = context.wrap_socket(server.socket, server_side=True)
        server.url = f"{'https' if tls else 'http'}://127.0.0.1:{server.server_port}"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        started.append(server)
        return server

    yield start
    for server in started:
        server.shutdown()
        server.server_close()


def test_plain(serve):
    server = serve((200, "ok" * 200))
    assert kaas_probe.http_get(f"{server.url}/readyz?verbose=1") == (200, "ok" * 100)
    assert server.asked == ["/readyz?verbose=1"]
    kaas_probe.http_get(f"{server.url}/livez")
    assert server.asked[-1] == "/livez"


def test_tls_verifies_by_the_given_authority_alone(serve):
    server = serve((200, "ok"), tls=True)
    assert kaas_probe.http_get(f"{server.url}/", ca=server.cert) == (200, "ok")
    assert kaas_probe.http_get(f"{server.url}/", verify=False) == (200, "ok")
    with pytest.raises(ssl.SSLCertVerificationError):
        kaas_probe.http_get(f"{server.url}/")


def test_tls_shows_the_client_certificate(serve):
    server = serve((200, "ok"), tls="mutual")
    mine = {"cert": server.cert, "key": server.key}
    assert kaas_probe.http_get(f"{server.url}/", ca=server.cert, **mine) == (200, "ok")
    with pytest.raises(OSError):
        kaas_probe.http_get(f"{server.url}/", ca=server.cert)


def test_waits_for_200(serve):
    server = serve((500, "not yet"), (503, "nearly"), (200, "ok"))
    assert kaas_probe.wait_http(f"{server.url}/", timeout=30, interval=0) is None
    assert len(server.asked) == 3


def test_tells_the_last_answer(serve):
    server = serve((500, "[-]etcd\nfailed"))
    told = kaas_probe.wait_http(f"{server.url}/readyz", timeout=0)
    assert told == f"{server.url}/readyz did not answer 200 within 0 s; last: HTTP 500: [-]etcd failed"


def test_tells_why_there_was_no_answer():
    told = kaas_probe.wait_http("http://127.0.0.1:9/", timeout=0)
    assert told.startswith("http://127.0.0.1:9/ did not answer 200 within 0 s; last: ") and "refused" in told


def test_an_error_without_words_is_told_by_its_name(monkeypatch):
    def silent(url):
        raise TimeoutError

    monkeypatch.setattr(kaas_probe, "http_get", silent)
    assert kaas_probe.wait_http("http://x/", timeout=0).endswith("last: TimeoutError")
