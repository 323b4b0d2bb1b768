#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""HTTP/1.x and TLS from end to end: what was asked, what came of it, and never one request too many."""

import os
import socket
import time

import sjtest
from sjtest import ns

MS = 1_000_000


class Talker:
    """A client on a kept connection that writes any bytes and reads whole answers."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=30)
        self.held = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def ask(self, method, target, headers="", body=b""):
        self.write(method, target, headers, body)
        return self.answer(method == "HEAD")

    def write(self, method, target, headers="", body=b""):
        self.socket.sendall(request(method, target, headers, body))

    def more(self):
        chunk = self.socket.recv(65536)
        if not chunk:
            raise sjtest.Failed("the server has closed")
        self.held += chunk

    def answer(self, no_body=False):
        """Status and body of the next answer that is not a provisional one."""
        while b"\r\n\r\n" not in self.held:
            self.more()
        head, _, self.held = self.held.partition(b"\r\n\r\n")
        status = int(head.split()[1])
        fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
        if no_body or status in (204, 304):
            return status, b""
        length = int(fields[b"content-length"])
        while len(self.held) < length:
            self.more()
        body, self.held = self.held[:length], self.held[length:]
        return status, body


def request(method, target, headers="", body=b""):
    length = f"Content-Length: {len(body)}\r\n" if body else ""
    return f"{method} {target} HTTP/1.1\r\nHost: h\r\n{headers}{length}\r\n".encode("latin-1") + body


def both_sides(t, name, m, expected, protocol="http"):
    """The same operations as server and as client, each with its count, and nothing else."""
    for role in "server", "client":
        t.equal(m.operations(role=role), expected, f"{name}: operations as {role}")
        t.equal(m.requests(role=role), sum(expected.values()), f"{name}: requests as {role}")
        t.equal({s["protocol"] for s in m.services(role=role)}, {protocol}, f"{name}: all {protocol} as {role}")
    c = m.completeness
    t.equal((c["unparsed"], c["cut_off"], c["lost"]), (0, 0, 0), f"{name}: none unparsed, cut off or lost")


def statuses(m, role):
    found = {}
    for service in m.services(role=role):
        for operation in service["operations"]:
            for status, count in operation["statuses"].items():
                found[int(status)] = found.get(int(status), 0) + count
    return found


def methods(t):
    verbs = {"GET": 31, "HEAD": 29, "POST": 23, "PUT": 19, "DELETE": 17, "PATCH": 13, "OPTIONS": 11}
    with sjtest.Server("--model", "epoll") as server:
        with sjtest.Measure("--port", server.port) as m, Talker(server.port) as talker:
            for verb, count in verbs.items():
                for i in range(count):
                    talker.ask(verb, f"/things/{i}", body=b"{}" if verb in ("POST", "PUT", "PATCH") else b"")
    both_sides(t, "methods", m, {f"{verb} /things/:id": count for verb, count in verbs.items()})


def operations(t):
    """Paths become operations, and nothing that belongs to a person leaves the process."""
    secret = "hunter2"
    targets = {
        "/": "/",
        "/health": "/health",
        "/users/42": "/users/:id",
        "/users/42/orders/1017": "/users/:id/orders/:id",
        "/users/550e8400-e29b-41d4-a716-446655440000": "/users/:id",
        "/blobs/9f86d081884c7d659a2feaa0c55ad015": "/blobs/:id",
        f"/login?user=me&password={secret}": "/login",
        f"/mail/{secret}@example.org": "/mail/:id",
        "/api/v2/items": "/api/v2/items",
        "/static/app.3f2a9c1b.js": "/static/app.:id.js",
        "//double//slashes": "/double/slashes",
        "/a/../b": "/b",
        "http://elsewhere:80/absolute/7": "/absolute/:id",
        "/bell\x07and\x1bescape": "/bell%07and%1Bescape",
    }
    with sjtest.Nginx() as server:
        with sjtest.Measure("--port", server.port) as m, \
             sjtest.Measure("--port", server.port, "--role", "server", command="trace") as trace, \
             Talker(server.port) as talker:
            for target in targets:
                if "\x07" not in target:
                    talker.ask("GET", target)
        report = m.process.out() + trace.process.out()
        with sjtest.Measure("--port", server.port, "--role", "server", command="trace") as wild:
            sjtest.talk(("127.0.0.1", server.port), request("GET", "/bell\x07and\x1bescape"))
    expected = {}
    for target, path in targets.items():
        if "\x07" not in target:
            expected[f"GET {path}"] = expected.get(f"GET {path}", 0) + 1
    both_sides(t, "operations", m, expected)
    t.equal({line["operation"] for line in trace.lines}, set(expected), "operations: the same in trace")
    t.ok(secret not in report, "operations: no query, no address is written out")
    text = wild.process.out()
    t.equal(len(wild.lines), 1, "operations: control characters do not hide a request")
    t.ok("\x07" not in text and "\x1b" not in text, "operations: control characters are not written out")


def results(t):
    """Statuses, errors (5xx) and client errors (4xx), counted apart."""
    asked = {200: 31, 201: 17, 204: 13, 304: 11, 401: 7, 404: 23, 500: 19, 503: 5}
    with sjtest.Server("--model", "epoll") as server:
        with sjtest.Measure("--port", server.port) as m, \
             sjtest.Measure("--port", server.port, command="trace") as trace, Talker(server.port) as talker:
            for status, count in asked.items():
                for _ in range(count):
                    talker.ask("GET", f"/result?status={status}")
    both_sides(t, "results", m, {"GET /result": sum(asked.values())})
    for role in "server", "client":
        t.equal(statuses(m, role), asked, f"results: the statuses as {role}")
        service, = m.services(role=role)
        t.equal((service["errors"], service["client_errors"]), (24, 30), f"results: 5xx and 4xx as {role}")
        t.near(service["error_ratio"], 24 / sum(asked.values()), 1e-6, 0, f"results: error ratio as {role}")
        lines = trace.select(role=role)
        t.equal({(line["status"], line["error"]) for line in lines}, {(str(s), s >= 500) for s in asked},
                f"results: the same in trace as {role}")


def bodiless(t):
    """Answers whose header speaks of a body that does not come, between answers that have one."""
    round_of = [("HEAD", "/head?size=1000"), ("GET", "/get?size=100"), ("GET", "/empty?status=204"),
                ("GET", "/get?size=1"), ("GET", "/same?status=304"), ("HEAD", "/head?size=77"), ("GET", "/get")]
    meant = {"HEAD /head": ("200", 2), "GET /get": ("200", 3), "GET /empty": ("204", 1), "GET /same": ("304", 1)}
    rounds = 37
    for way in "one after the other", "in one write":
        with sjtest.Server("--model", "thread") as server:
            with sjtest.Measure("--port", server.port) as m, \
                 sjtest.Measure("--port", server.port, command="trace") as trace, Talker(server.port) as talker:
                for i in range(rounds):
                    one_round(talker, round_of, way == "in one write")
                    if i == 0:
                        time.sleep(0.5)  # that this connection pipelines is news, and takes a moment to get about
        name = f"answers without body, {way}"
        both_sides(t, name, m, {operation: count * rounds for operation, (_, count) in meant.items()})
        for role in "server", "client":
            lines = trace.select(role=role)
            t.all([line for line in lines if "status" in line and line["status"] != meant[line["operation"]][0]],
                  f"{name}: none has another one's status as {role}")
            t.at_most(len([line for line in lines if "status" not in line]), 7 if way == "in one write" else 0,
                      f"{name}: the statuses are read as {role}")


def one_round(talker, asks, at_once):
    if at_once:
        talker.socket.sendall(b"".join(request(*ask) for ask in asks))
    for method, target in asks:
        if not at_once:
            talker.write(method, target)
        talker.answer(method == "HEAD")


def bodies(t):
    """Length-delimited and chunked bodies, small and large, in both directions, on kept connections."""
    n = 101
    for name, server, client, bytes_out in (
            ("chunked answers", ("--chunked", "--pieces", 3, "--response-size", 3000), (), 3000),
            ("chunked answers with pauses", ("--chunked", "--pieces", 3, "--piece-gap", "1ms"), (), 64),
            ("large chunked answers", ("--chunked", "--pieces", 7, "--response-size", 700_000), (), 700_000),
            ("large answers", ("--response-size", 1_000_000), (), 1_000_000),
            ("head and body in two writes", ("--response-split", "header"), (), 64),
            ("chunked answers, pipelined", ("--chunked", "--pieces", 2), ("--pipeline", 7), 64),
            ("large answers, pipelined", ("--response-size", 100_000), ("--pipeline", 5), 100_000),
            ("requests with a body, pipelined", (), ("--body", 50, "--pipeline", 5), 64),
            ("chunked requests, pipelined", (), ("--body", 50, "--chunked-body", "--pipeline", 5), 64),
            ("large requests", (), ("--body", 1_000_000), 64)):
        with sjtest.Server("--model", "thread", *server) as srv:
            with sjtest.Measure("--port", srv.port) as m, \
                 sjtest.Measure("--port", srv.port, "--role", "server", command="trace") as trace:
                sjtest.client(srv, "--requests", n, "--connections", 3, *client)
        method = "POST" if "--body" in client else "GET"
        both_sides(t, name, m, {f"{method} /x/:id": n})
        known = statuses(m, "client")
        # Answers that come together are read in full only when it is known that they do: here it is soon over.
        t.ok(known == {200: n} or "--pipeline" in client and set(known) <= {200}, f"{name}: the statuses", got=known)
        sent = sum(line["bytes_out"] for line in trace.lines)
        t.at_least(sent, n * bytes_out, f"{name}: the bytes of all answers")
        t.at_most(sent, n * (bytes_out + 400) + n * bytes_out // 100, f"{name}: and no more than those")


def large_heads(t):
    """Heads that do not fit into what is captured of a message, between ordinary ones."""
    cookies = "".join(f"Cookie: c{i}={'x' * 2900}\r\n" for i in range(5))
    with sjtest.Nginx() as server:
        with sjtest.Measure("--port", server.port) as m, Talker(server.port) as talker:
            for i in range(41):
                talker.ask("GET", f"/large/{i}", cookies)
                talker.ask("GET", f"/small/{i}")
    both_sides(t, "large heads", m, {"GET /large/:id": 41, "GET /small/:id": 41})


def until_close(t):
    """HTTP/1.0: the answer ends where the connection does."""
    n = 23
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

        def serve():
            for _ in range(n):
                with listener.accept()[0] as s:
                    s.recv(65536)
                    s.sendall(b"HTTP/1.0 200 OK\r\n\r\nfirst")
                    time.sleep(0.02)
                    s.sendall(b"last")

        with sjtest.Measure("--port", port) as m, sjtest.Measure("--port", port, command="trace") as trace:
            server = sjtest.Threads(serve)
            answers = [sjtest.talk(("127.0.0.1", port), b"GET /old/1 HTTP/1.0\r\n\r\n") for _ in range(n)]
            server.finish()
    t.equal({answer[-9:] for answer in answers}, {b"firstlast"}, "until close: the load is as asked for")
    both_sides(t, "until close", m, {"GET /old/:id": n})
    t.all([line for line in trace.lines if ns(line["total"]) < 20 * MS], "until close: the last byte ends it")
    t.all([line for line in trace.lines if line["error"]], "until close: that is no error")


def upgrades(t):
    """After an upgrade the connection speaks something else: turns of an unknown protocol, and no HTTP."""
    n, connections = 101, 10
    with sjtest.Server("--model", "thread") as server:
        with sjtest.Measure("--port", server.port) as m:
            sent = sjtest.client(server, "--requests", n, "--connections", connections, "--upgrade", "--body", 32)
    t.equal(sent["answered"], n, "upgrade: the load is as asked for")
    for role in "server", "client":
        t.equal(m.operations(role=role, protocol="http"), {"GET /x/:id": connections},
                f"upgrade: the requests for it as {role}")
        t.equal(statuses(m, role), {101: connections}, f"upgrade: their status as {role}")
        t.equal(m.requests(role=role, protocol="unknown"), n - connections, f"upgrade: the turns behind it as {role}")
        t.equal(m.requests(role=role), n, f"upgrade: nothing else as {role}")
    t.equal(m.completeness["cut_off"] + m.completeness["lost"], 0, "upgrade: none is cut off or lost")


def proxied(t):
    """nginx is a server to its client and a client to its upstream: each request is seen four times."""
    n = 211
    with sjtest.Server("--model", "thread", "--name", f"up{os.getpid()}") as upstream, \
         sjtest.Nginx(locations=f"location / {{ proxy_pass http://{upstream.address}; }}") as front:
        with sjtest.Measure("--role", "server") as served, sjtest.Measure("--role", "client") as asked:
            sjtest.client(f"127.0.0.1:{front.port}", "--requests", n, "--connections", 3)
    for name, m, port in (("the front as server", served, front.port), ("its client", asked, front.port),
                          ("the upstream as server", served, upstream.port),
                          ("the front as client", asked, upstream.port)):
        t.equal(m.operations(port=port), {"GET /x/:id": n}, f"proxied: {name}")
    t.equal({s["service"] for s in asked.services(port=upstream.port)}, {"nginx"}, "proxied: nginx asks the upstream")


# ---- TLS ------------------------------------------------------------------------------------------------------------


def tls(t):
    """Handshakes are no requests; turns of application records are, of protocol tls."""
    folder = sjtest.temp("tls")
    os.mkdir(folder)
    key, certificate = folder + "/key.pem", folder + "/cert.pem"
    sjtest.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", certificate,
                "-days", "2", "-subj", "/CN=localhost"])
    port = sjtest.free_port()
    listen = (f"listen 127.0.0.1:{port} ssl; ssl_certificate {certificate}; ssl_certificate_key {key}; "
              "ssl_protocols TLSv1.2 TLSv1.3; ssl_session_cache shared:s:1m;")
    with sjtest.Nginx(listen=listen) as server:
        for version in "1.2", "1.3":
            limits = ["--tlsv" + version, "--tls-max", version]
            kept(t, f"TLS {version}, one connection", port, limits, server)
            each(t, f"TLS {version}, a connection each", port, limits)
    nothing_but_handshakes(t, key, certificate)


def curl(port, limits, urls):
    return sjtest.run(["curl", "--silent", "--show-error", "--insecure", "--http1.1", *limits, *urls(port)])


def tls_turns(t, name, m, n):
    for role in "server", "client":
        t.equal({s["protocol"]: s["requests"] for s in m.services(role=role)}, {"tls": n},
                f"{name}: {n} of tls as {role}")
    t.equal((m.completeness["cut_off"], m.completeness["lost"]), (0, 0), f"{name}: none is cut off or lost")


def kept(t, name, port, limits, server):
    n = 101
    with sjtest.Measure("--port", port) as m:
        answers = curl(port, limits, lambda port: [f"https://127.0.0.1:{port}/[1-{n}]"])
    t.equal(answers.count("hello"), n, f"{name}: the load is as asked for")
    tls_turns(t, name, m, n)
    t.ok(all(s["service"] == "nginx" and s["pid"] == server.pid for s in m.services(role="server")),
         f"{name}: nginx has served")


def each(t, name, port, limits):
    n = 17
    with sjtest.Measure("--port", port) as m:
        answers = "".join(curl(port, limits, lambda port: [f"https://127.0.0.1:{port}/"]) for _ in range(n))
    t.equal(answers.count("hello"), n, f"{name}: the load is as asked for")
    tls_turns(t, name, m, n)


def nothing_but_handshakes(t, key, certificate):
    """s_client connects, says nothing and leaves."""
    port = sjtest.free_port()
    server = sjtest.Process(["openssl", "s_server", "-accept", f"127.0.0.1:{port}", "-key", key, "-cert", certificate,
                             "-quiet", "-naccept", "12"])
    sjtest.await_true(lambda: sjtest.accepts(("127.0.0.1", port)), "s_server listens", process=server)
    with sjtest.Measure("--port", port) as m:
        for version in ("-tls1_2", "-tls1_3") * 5:
            sjtest.run(["openssl", "s_client", "-connect", f"127.0.0.1:{port}", version])
    sjtest.stop(server)
    t.equal([(s["role"], s["protocol"], s["requests"]) for s in m.report["services"]], [],
            "handshakes alone: no requests")
    t.equal(m.completeness["cut_off"] + m.completeness["lost"], 0, "handshakes alone: none is cut off or lost")


sjtest.main(methods, operations, results, bodiless, bodies, large_heads, until_close, upgrades, proxied, tls)
