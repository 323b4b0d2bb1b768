# SPDX-License-Identifier: GPL-3.0-or-later
"""The other ends of the daemon's notifications, which behave as they are told to. Tests import sjtest beside it."""

import collections
import contextlib
import dataclasses
import json
import os
import signal
import socket
import socketserver
import threading
import time

import sjtest

SENT_AT_MOST = 64 << 20  # of an endless answer; nobody takes that much

# The alert that receivers are told of.
RULE = """
alerts:
  - name: busy
    match: {{role: server, port: {port}}}
    when: rate > 20/s
    over: 2s
    for: 1s
    keep_firing_for: {keep}
    labels: {{severity: critical}}
    annotations: {{summary: "too \\"busy\\" at {{{{ $labels.service }}}}", runbook: "line 1\\nline 2"}}
notify:
"""
SUMMARY = 'too "busy" at nginx'
HOST = os.uname().nodename
BOTH = ["firing", "resolved"]


class Breach:
    """nginx under load that an alert is about; .over() ends it."""

    def __init__(self):
        self.nginx = sjtest.Nginx()
        self.load = None

    def __enter__(self):
        self.nginx.__enter__()
        self.begin()
        return self

    def __exit__(self, *_):
        self.over()
        self.nginx.__exit__()

    def begin(self):
        self.load = sjtest.Client(f"127.0.0.1:{self.nginx.port}", "--open", 200, "--duration", "600s",
                                  "--requests", 1000000)

    def over(self):
        if self.load:
            sjtest.stop(self.load.process, signal.SIGKILL)
        self.load = None

    @property
    def rule(self):
        return RULE.format(port=self.nginx.port, keep="0s")

    @property
    def lasting_rule(self):
        """It outlasts the seconds in which a daemon that has just been started sees less than there is."""
        return RULE.format(port=self.nginx.port, keep="5s")


@dataclasses.dataclass
class Request:
    """What was sent to a path. .began and .ended tell the order of things, on one clock."""

    path: str
    headers: dict
    body: bytes
    began: float
    ended: float = None
    sent: int = 0  # bytes of the answer

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def state(self):
        """What it tells of the alert, in any of the documents that receivers get."""
        doc = self.json
        return {"trigger": "firing", "resolve": "resolved"}.get(doc.get("event_action"), doc.get("status"))


# ---- ways to answer: each takes the connection and the request -------------------------------------------------------


def reply(status, body="", **headers):
    """A whole answer; body is a text, or made of the request."""

    def act(connection, request):
        text = (body(request) if callable(body) else body).encode()
        lines = [f"HTTP/1.1 {status} Told", f"Content-Length: {len(text)}"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        connection.sendall("\r\n".join(lines).encode() + b"\r\n\r\n" + text)

    return act


def raw(data):
    """Some bytes, then the end of the connection."""

    def act(connection, request):
        connection.sendall(data)

    return act


def hang(connection, request):
    """No answer, until the other side has had enough."""
    connection.settimeout(60)
    connection.recv(1)


def endless(begin, piece):
    """It never stops sending; request.sent tells how much was taken."""

    def act(connection, request):
        connection.settimeout(20)
        connection.sendall(begin)
        while request.sent < SENT_AT_MOST:
            request.sent += connection.send(piece)

    return act


ok = reply(200)


class World(socketserver.ThreadingMixIn, socketserver.TCPServer):
    """An HTTP server. scripts: path -> what is done with the first, second ... attempt to tell the same of an alert;
    the last of them is done with all further ones. .requests has everything that came, in order."""

    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, scripts, port=0, tls=None):
        self.scripts = scripts
        self.requests = []
        self.lock = threading.Lock()
        self.tls = tls
        super().__init__(("127.0.0.1", port), Attempt)
        self.port = self.server_address[1]
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"

    def __enter__(self):
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.shutdown()
        self.server_close()

    def handle_error(self, request, client_address):
        pass  # whoever hangs up early is no error here

    def take(self, request):
        """Notes a request, and tells what is to be done with it."""
        with self.lock:
            before = [r for r in self.requests if (r.path, r.state) == (request.path, request.state)]
            self.requests.append(request)
        script = self.scripts.get(request.path, [reply(404)])
        return script[min(len(before), len(script) - 1)]

    def of(self, path):
        with self.lock:
            return [r for r in self.requests if r.path == path]

    def states(self, path):
        return [r.state for r in self.of(path)]

    def await_told(self, state, *paths):
        """Until these, or all, have been told of the change, in the end."""
        scripts = {path: self.scripts[path] for path in paths or self.scripts}
        sjtest.await_true(lambda: all(self.states(path).count(state) >= len(script) for path, script in scripts.items()),
                          f"all are told that it is {state}")

    def expected(self, *paths):
        """path -> the attempts that it takes to tell both changes."""
        return {path: [state for state in BOTH for _ in self.scripts[path]] for path in paths or self.scripts}

    def paths(self):
        with self.lock:
            return collections.Counter(r.path for r in self.requests)


class Attempt(socketserver.BaseRequestHandler):
    """One connection, which is one request."""

    def handle(self):
        connection = self.request
        if self.server.tls:
            connection = self.server.tls.wrap_socket(connection, server_side=True)
        with connection, contextlib.suppress(OSError):
            request = self.read(connection)
            act = self.server.take(request)
            try:
                act(connection, request)
            finally:
                request.ended = time.monotonic()
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_WR)

    @staticmethod
    def read(connection):
        connection.settimeout(10)
        data = b""
        while b"\r\n\r\n" not in data:
            piece = connection.recv(65536)
            if not piece:
                raise ConnectionError("no request")
            data += piece
            if not data[:1].isalpha():
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                raise ConnectionError("no HTTP")
        head, _, body = data.partition(b"\r\n\r\n")
        first, *lines = head.decode().split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        while len(body) < int(headers.get("content-length", 0)):
            body += connection.recv(65536)
        method, path, _ = first.split(" ")
        if method != "POST":
            raise ConnectionError("no POST")
        return Request(path, headers, body, time.monotonic())


class Names:
    """A name server for some names, which all stand for 127.0.0.1; no other name is known."""

    def __init__(self, address, *names):
        self.names = {b"".join(bytes([len(part)]) + part.encode() for part in name.split(".")) + b"\0" for name in names}
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((address, 53))

    def __enter__(self):
        threading.Thread(target=self.answer, daemon=True).start()
        return self

    def __exit__(self, *_):
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()

    def answer(self):
        with contextlib.suppress(OSError):
            while True:
                query, sender = self.socket.recvfrom(4096)
                if not query:
                    return
                end = query.index(b"\0", 12) + 1
                name, kind = query[12:end].lower(), query[end:end + 2]
                known, address = name in self.names, kind == b"\0\1"
                record = b"\xc0\x0c\0\1\0\1\0\0\0\1\0\4\x7f\0\0\1" if known and address else b""
                head = query[:2] + (b"\x85\x80" if known else b"\x85\x83") + b"\0\1" + bytes([0, bool(record)]) + b"\0\0\0\0"
                self.socket.sendto(head + query[12:end + 4] + record, sender)


class Log:
    """A system's log: a datagram socket at a path. .lines has what was sent to it."""

    def __init__(self, path):
        self.lines = []
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(path)
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        with contextlib.suppress(OSError):
            while line := self.socket.recv(65536):
                self.lines.append(line.decode())

    def close(self):
        self.socket.close()
