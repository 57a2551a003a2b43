"""A compromised node: its minion's real key, a real ZeroMQ channel to the master, and payloads made by hand."""

import contextlib
import time
import typing
import uuid

import msgpack
import salt.channel.client
import salt.crypt
import salt.exceptions
import salt.payload
import salt.transport.frame
from salt.utils.asynchronous import SyncWrapper


class Channel(salt.channel.client.AsyncReqChannel):
    """Salt's own channel, with a way to send any envelope."""

    async_methods: typing.ClassVar = [*salt.channel.client.AsyncReqChannel.async_methods, "exchange"]

    async def exchange(self, load, version, envelope, proof, clear):
        """Send `load` as protocol `version`; return the answer decrypted where that is possible, else as it came."""
        if not self.auth.authenticated:
            await self.auth.authenticate()
        crypticle = self.auth.session_crypticle if version > 2 else self.auth.crypticle
        nonce = uuid.uuid4().hex
        payload = {"enc": "clear", "load": load, "version": version}
        if not clear:
            load = {**({"nonce": nonce} if version > 1 else {}), **load}
            if proof:
                load = {"ts": int(time.time()), "tok": self.auth.gen_token(b"salt"), "id": self.opts["id"], **load}
            algorithms = {"enc_algo": self.opts["encryption_algorithm"], "sig_algo": self.opts["signing_algorithm"]}
            payload = {"enc": "aes", "version": version, "id": self.opts["id"], **algorithms, "load": crypticle.dumps(load)}
        answer = await self.transport.send({**payload, **envelope}, timeout=30)
        if isinstance(answer, bytes):
            with contextlib.suppress(salt.crypt.AuthenticationError, salt.exceptions.SaltException):
                found = crypticle.loads(answer, nonce=nonce if version > 1 else None)
                return salt.transport.frame.decode_embedded_strs(found)
            with contextlib.suppress(ValueError, msgpack.exceptions.UnpackException):
                return msgpack.loads(answer)
        return answer


class Rogue:
    """
    Root on the node with minion id `id`: it has what that minion has, and sends what it likes.

    config: the minion's configuration. master: the master's.
    """

    def __init__(self, config, master):
        self.id = config["id"]
        self.opts = {
            **config,
            "master_ip": "127.0.0.1",
            "master_uri": f"tcp://127.0.0.1:{master['ret_port']}",
            "__role": "minion",
            "request_channel_tries": 1,
            "auth_tries": 1,
            "auth_safemode": False,
        }
        self.channel = SyncWrapper(Channel.factory, (self.opts,), {"crypt": "aes"}, loop_kwarg="io_loop")

    def close(self):
        self.channel.close()

    def send(self, cmd, version=3, envelope=None, proof=True, clear=False, **load):
        """
        Send a command with these fields, and return the master's answer.

        version: of the protocol. envelope: fields around the encrypted part. proof: add the own id and a token signed with the minion's
        key, unless the fields say otherwise. clear: not encrypted.
        """
        return self.channel.exchange({"cmd": cmd, **load}, version, envelope or {}, proof, clear)

    def publish(self, fun, arg=(), tgt="ca", tgt_type="list", **fields):
        """Ask the master to run a function on other minions; ``{minion id: return}``, or what the master says when it refuses."""
        asked = self.send("minion_pub", fun=fun, arg=list(arg), tgt=tgt, tgt_type=tgt_type, ret="", **fields)
        if not isinstance(asked, dict) or not asked.get("jid"):
            return asked
        deadline = time.monotonic() + 30
        while True:
            returns = self.send("pub_ret", jid=asked["jid"])
            if set(returns) >= set(asked["minions"]) or time.monotonic() > deadline:
                return {minion: value.get("ret") if isinstance(value, dict) else value for minion, value in returns.items()}
            time.sleep(0.1)

    def pillar(self, **fields):
        """Ask for a pillar as the minion does (or not quite so)."""
        load = {"cmd": "_pillar", "id": self.id, "grains": {}, "saltenv": None, "pillarenv": None, "ver": "2", **fields}
        return self.channel.crypted_transfer_decode_dictentry(load, dictkey="pillar", timeout=30)

    def event(self, tag, data, **fields):
        """Fire an event on the master."""
        return self.send("_minion_event", events=[{"tag": tag, "data": data}], **{"pretag": None, **fields})

    def file(self, path, saltenv="base"):
        """First part of a file of the master's file server, as text; "" when it has none."""
        answer = self.send("_serve_file", path=path, saltenv=saltenv, loc=0, gzip=None)
        data = answer.get("data", b"") if isinstance(answer, dict) else b""
        return data.decode(errors="replace") if isinstance(data, bytes) else str(data)
