"""The child process that owns Futu's SDK. Run as `python -m apex_pipeline.brokers.futu.worker`; speaks `wire`.

The SDK installs a signal handler, prints, writes logs into HOME, starts threads and can block for ever:
here none of that reaches the product. The child ends at once when its standard input ends, so it never
outlives its parent; on any surprise it dies with a traceback on standard error, and the parent starts anew.

Rows and exact bytes are taken where the SDK decodes a frame, because its own tables drop the UTC times
and turn an unreadable answer into an empty one.
"""

import importlib
import os
import queue
import signal
import socket
import sys
import threading
from pathlib import Path
from typing import Any

from apex_pipeline.brokers.futu import decoding, wire
from apex_pipeline.brokers.futu.put_off import PutOff
from apex_pipeline.brokers.futu.wire import Failure, Frame

JSON_FORMAT = 1
NOTIFY = 1003
_GATEWAY_EVENT, _CONNECTION_STATUS = 1, 3
_LOGIN_EVENTS = frozenset({4, 5, 7, 8, 9, 10, 11, 15})
"""GtwEventType: login failed, disclaimer not agreed, kicked out, password changed, login banned, picture or phone
code needed, device lock switched on."""
_RET_TYPE_FAILURES = {-100: Failure.TIMEOUT, -200: Failure.TRANSPORT}
_TIMEOUT_TEXTS = frozenset({"PacketErr.Timeout", "Abnormal event timeout"})
_SDK_TEXTS = _TIMEOUT_TEXTS | frozenset(
    {"", "Disconnect", "PacketErr.Disconnect", "PacketErr.Invalid", "Context status bad", "rsp_pb error"}
)
"""What the SDK itself says of a failed handshake; any other text is OpenD's."""
_SDK_INTERNALS = {
    "futu.common.open_context_base": ("OpenContextBase",),
    "futu.common.utils": ("binary2pb", "pack_pb_req"),
    "futu.common.sys_config": ("SysConfig",),
    "futu.common.ft_logger": ("logger",),
}
_TRADES, _QUOTES = "Trd", "Qot"
"""How the names of interfaces begin, by the server that OpenD asks."""
_FOR_TABLES = "pandas"
"""What the SDK imports for tables that nobody asks for here: most of its start."""
_QUERY, _CONNECT, _GREET = "_get_sync_query_processor", "_init_connect_sync", "_send_init_connect_sync"
_CONTEXT_INTERNALS = (_QUERY, _CONNECT, _GREET)


class RequestError(Exception):
    """A request could not be served; the reply says why."""

    def __init__(self, failure: Failure, text: str) -> None:
        super().__init__(text)
        self.failure = failure


class Sdk:
    """The imported SDK and its one connection."""

    def __init__(self, home: str) -> None:
        """Import the SDK with its files under `home`; raises RequestError for an untested version."""
        folder = Path(home) / ".com.futunn.FutuOpenD" / "Log"
        folder.mkdir(parents=True, exist_ok=True)
        os.environ["HOME"] = home
        sys.modules.setdefault(_FOR_TABLES, PutOff(_FOR_TABLES))
        self.version = str(importlib.import_module("futu").__version__)
        # importing the SDK installs a handler that ends the process with exit code 0
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        self._modules = {name: importlib.import_module(name) for name in _SDK_INTERNALS}
        self._require_internals()
        self._config: Any = self._modules["futu.common.sys_config"].SysConfig
        self._config.set_all_thread_daemon(all_daemon=True)
        self._config.enable_console_log(enable=False)
        logger: Any = self._modules["futu.common.ft_logger"].logger
        logger.file_level = logger.console_level = 50
        self._decode_frame: Any = self._modules["futu.common.utils"].binary2pb
        setattr(self._modules["futu.common.utils"], "binary2pb", self._keep_answer)  # noqa: B010 - untyped module
        self._context: Any = None
        self._login_lost: dict[str, str] = {}

    def connect(self, address: str, port: int, rsa_key_file: str | None) -> None:
        """Make the one connection; raises RequestError with OpenD's text when it refuses."""
        if rsa_key_file:
            self._use_key(rsa_key_file)
        base: Any = self._modules["futu.common.open_context_base"].OpenContextBase
        context = _one_shot(base)(address, port, is_encrypt=bool(rsa_key_file))
        if context.refusal is not None:
            raise _failure_of(context.refusal or "the connection was closed", from_server=context.answered)
        context.set_sync_query_connect_timeout(3)
        self._context = context

    def query(self, interface: str, c2s: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
        """Send one request; the reply's header and body. Raises RequestError."""
        messages: Any = importlib.import_module(f"futu.common.pb.{interface}_pb2")
        request = messages.Request()
        parse_dict: Any = importlib.import_module("google.protobuf.json_format").ParseDict
        parse_dict(c2s, request.c2s)
        protocol_id = wire.PROTOCOL_IDS[interface]

        def pack() -> Any:
            pack_request: Any = self._modules["futu.common.utils"].pack_pb_req
            return pack_request(request, protocol_id, self._context.get_sync_conn_id())

        def unpack(answer: Any) -> tuple[int, str, Any]:
            return 0, "", answer

        code, text, answer = getattr(self._context, _QUERY)(pack, unpack)()
        if (lost := self._login_lost.get(interface[: len(_TRADES)])) is not None:
            # what OpenD still answers without its login may be a memory, and an empty one
            raise RequestError(Failure.LOGIN, lost)
        if code != 0 or not isinstance(answer, Answer):
            raise _failure_of(str(text), from_server=False)
        return _reply(answer, messages.Response(), interface)

    def _keep_answer(self, body: Any, protocol_id: int, body_format: int) -> Any:
        """Stands in for the SDK's decoder: our interfaces keep their bytes, the others decode as ever."""
        if protocol_id in wire.PROTOCOL_IDS.values():
            return Answer(bytes(body), body_format)
        message = self._decode_frame(body, protocol_id, body_format)
        if protocol_id == NOTIFY:
            self._heed(message.s2c)
        return message

    def _heed(self, notice: Any) -> None:
        """Remember what a push of OpenD says about its login, to each of its two servers."""
        if notice.type == _GATEWAY_EVENT and notice.event.eventType in _LOGIN_EVENTS:
            text = notice.event.desc or f"event {notice.event.eventType}"
            self._login_lost = {_TRADES: text, _QUOTES: text}
        elif notice.type == _CONNECTION_STATUS:
            status = notice.connectStatus
            servers = ((_TRADES, status.trdLogined, "trading"), (_QUOTES, status.qotLogined, "quote"))
            self._login_lost = {
                kind: f"the {name} server is not connected" for kind, logged_in, name in servers if not logged_in
            }

    def _use_key(self, rsa_key_file: str) -> None:
        self._config.enable_proto_encrypt(is_encrypt=True)
        self._config.set_init_rsa_file(rsa_key_file)
        rsa: Any = importlib.import_module("Crypto.PublicKey.RSA")
        try:
            key = rsa.import_key(Path(rsa_key_file).read_bytes())
        except (OSError, ValueError, IndexError, TypeError) as error:
            raise RequestError(Failure.KEY_FILE, "it cannot be read as an RSA private key") from error
        if not key.has_private() or key.size_in_bits() != 1024:
            raise RequestError(Failure.KEY_FILE, "it must hold a 1024-bit PKCS#1 private key")

    def _require_internals(self) -> None:
        missing = [
            f"{module}.{name}"
            for module, names in _SDK_INTERNALS.items()
            for name in names
            if not hasattr(self._modules[module], name)
        ]
        base = getattr(self._modules["futu.common.open_context_base"], "OpenContextBase", None)
        missing += [name for name in _CONTEXT_INTERNALS if not hasattr(base, name)]
        if missing or not self.version.startswith(wire.SDK_VERSIONS):
            raise RequestError(Failure.SDK, f"futu-api {self.version} {', '.join(missing)}".strip())


class Answer:
    """A frame's body as it came, decrypted and proven by its checksum, not yet parsed."""

    def __init__(self, body: bytes, body_format: int) -> None:
        self.body = body
        self.body_format = body_format


def probe(host: str, port: int, seconds: float) -> str:
    """The IPv4 address that accepts connections at host:port; raises RequestError."""
    try:
        found = socket.getaddrinfo(host, port, socket.AF_INET, socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise RequestError(Failure.UNREACHABLE, "the name does not resolve to an IPv4 address") from error
    address = str(found[0][4][0])
    try:
        socket.create_connection((address, port), timeout=seconds).close()
    except OSError as error:
        raise RequestError(Failure.UNREACHABLE, error.strerror or str(error)) from error
    return address


def serve(replies: int) -> None:
    """Answer requests, one at a time, until the parent closes the pipe."""
    requests: queue.SimpleQueue[Frame] = queue.SimpleQueue()
    threading.Thread(target=_read_requests, args=(requests,), daemon=True).start()
    sdk: list[Sdk] = []
    while True:
        request = requests.get().header
        try:
            header, body = _serve_one(request, sdk)
        except RequestError as failed:
            header = {"ok": False, "failure": failed.failure, "text": str(failed)}
            body = b""
        _write_all(replies, wire.encode(header, body))


def _serve_one(request: dict[str, Any], sdk: list[Sdk]) -> tuple[dict[str, Any], bytes]:
    match request["op"]:
        case "probe":
            return {"ok": True, "address": probe(request["host"], request["port"], request["seconds"])}, b""
        case "import":
            sdk.append(Sdk(request["home"]))
            return {"ok": True, "version": sdk[0].version}, b""
        case "connect":
            sdk[0].connect(request["address"], request["port"], request["rsa_key_file"])
            return {"ok": True}, b""
        case _:
            return sdk[0].query(request["interface"], request["c2s"])


def _reply(answer: Answer, response: Any, interface: str) -> tuple[dict[str, Any], bytes]:
    """The envelope is checked strictly; a row that lacks a field is left for the parent to reject."""
    in_json = answer.body_format == JSON_FORMAT
    try:
        source = decoding.parse(answer.body, in_json, response)
    except decoding.UnreadableError as error:
        raise RequestError(Failure.TRANSPORT, str(error)) from error
    if not response.HasField("retType"):
        raise RequestError(Failure.TRANSPORT, "an answer without retType")
    if response.retType != 0:
        failure = _RET_TYPE_FAILURES.get(response.retType, Failure.SERVER)
        raise RequestError(failure, response.retMsg or f"retType {response.retType}")
    if not response.HasField("s2c"):
        raise RequestError(Failure.TRANSPORT, "an answer without content")
    header: dict[str, Any] = {"ok": True, "json": in_json, "body": len(answer.body)}
    field = wire.ROW_FIELDS[interface]
    header["unknown"] = decoding.unknown_beside_rows(response, source)
    header["beside"] = decoding.beside_rows(response, field)
    rows = wire.dump_rows(decoding.rows_of(response, field, source))
    return header, answer.body + rows


def _one_shot(base: Any) -> Any:
    """A context class that tries to connect once and keeps the words of a refusal; the SDK's own never gives up."""
    connect, greet = getattr(base, _CONNECT), getattr(base, _GREET)

    def connect_once(self: Any) -> int:
        # a lost connection is replaced with the whole child: a half-received frame poisons a context
        self._auto_reconnect = False
        code: int = connect(self)
        if code != 0:
            self.refusal = self.refusal or ""
        return code

    def greet_and_listen(self: Any) -> tuple[int, str]:
        code, text = greet(self)
        if code != 0:
            self.refusal = str(text)
            self.answered = self.refusal not in _SDK_TEXTS and "sha error" not in self.refusal
        return code, text

    def after_connecting(_self: Any) -> tuple[int, str]:
        return 0, ""

    members = {"refusal": None, "answered": False, "on_api_socket_reconnected": after_connecting}
    return type("OneShotContext", (base,), {**members, _CONNECT: connect_once, _GREET: greet_and_listen})


def _failure_of(text: str, from_server: bool) -> RequestError:
    if from_server:
        return RequestError(Failure.SERVER, text)
    return RequestError(Failure.TIMEOUT if text in _TIMEOUT_TEXTS else Failure.TRANSPORT, text)


def _read_requests(requests: "queue.SimpleQueue[Frame]") -> None:
    source = os.fdopen(0, "rb", closefd=False)

    def exactly(count: int) -> bytes:
        content = source.read(count)
        if len(content) < count:
            # not sys.exit: the SDK's threads and atexit hooks must not delay the end
            os._exit(0)
        return content

    while True:
        requests.put(wire.read_frame(exactly))


def _write_all(descriptor: int, content: bytes) -> None:
    view = memoryview(content)
    while view:
        view = view[os.write(descriptor, view) :]


def main() -> None:
    """Serve on the pipe that was standard output; what the SDK prints goes nowhere."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    replies = os.dup(1)
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 1)
    serve(replies)


if __name__ == "__main__":
    sys.exit(main())
