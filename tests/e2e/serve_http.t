#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""The daemon's HTTP server and clients that are wrong, slow, many or hostile: it refuses what it should, answers the
others, and what it measures meanwhile is counted to the last request."""

import contextlib
import os
import random
import re
import resource
import socket
import ssl
import threading
import time

import sjdaemon
import sjtest

HOST = b"Host: x\r\n"
GOOD = b"GET /-/healthy HTTP/1.1\r\n" + HOST + b"\r\n"
STATUS = re.compile(rb"HTTP/1\.1 (\d{3}) ")
NGINX = f"nginx-{os.getpid()}"
RSS_MAX = 64 << 20
CONNECTIONS_MAX = 256


def fds(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def rss(pid):
    with open(f"/proc/{pid}/statm", encoding="utf-8") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


def heads(answers):
    """The statuses of the answers, and the bytes between each head and the next."""
    return [int(status) for status in STATUS.findall(answers)]


def talk(d, *pieces, **options):
    """All that the server says until it closes; what it has said before it resets the connection counts too."""
    options = {"gap": 0.0, "close_writing": False, "timeout": 60.0, **options}
    answer = b""
    with socket.create_connection(("127.0.0.1", d.port), timeout=options["timeout"]) as s:
        with contextlib.suppress(ConnectionError):
            for i, piece in enumerate(pieces):
                if i:
                    time.sleep(options["gap"])
                s.sendall(piece)
            if options["close_writing"]:
                s.shutdown(socket.SHUT_WR)
            while chunk := s.recv(65536):
                answer += chunk
    return answer


def get(path, more=b"", version=b"1.1", method=b"GET"):
    return method + b" " + path + b" HTTP/" + version + b"\r\n" + HOST + more + b"\r\n"


class Watched(sjdaemon.Daemon):
    """A daemon that measures an nginx under load while a test goes on; check() tells whether that harmed it."""

    def __enter__(self):
        self.nginx = sjdaemon.named_nginx(NGINX)
        self.nginx.__enter__()
        try:
            super().__enter__()
            self.links = sjdaemon.held_by(self.process.pid)
            self.over = threading.Event()
            self.load = sjtest.Threads(self.ask)
            sjtest.await_true(lambda: self.metric("sojourn_requests_total", service_name=NGINX), "requests")
            self.fds = {pid: self.settled_fds(pid) for pid in (self.process.pid, self.courier)}
        except BaseException:
            self.nginx.stop()
            raise
        return self

    def __exit__(self, *what):
        self.over.set()
        super().__exit__(*what)
        self.nginx.stop()

    def ask(self):
        while not self.over.is_set():
            sjtest.client(f"127.0.0.1:{self.nginx.port}", "--requests", 200, "--connections", 4)

    @staticmethod
    def settled_fds(pid):
        """Without those of connections that are just being closed."""
        last = [fds(pid)]
        sjtest.await_true(lambda: last.append(fds(pid)) or time.sleep(0.2) or last[-1] == last[-2] == fds(pid), "rest")
        return last[-1]

    def counted(self):
        labels = {"service_name": NGINX, "role": "server"}  # without detail, the status is not known
        return self.metric("sojourn_requests_total", **labels)

    def check(self, t, after):
        self.over.set()
        self.load.finish()
        own = self.nginx.stub_status()["requests"]
        with contextlib.suppress(sjtest.Failed):
            sjtest.await_true(lambda: self.counted() == own, "the requests")
        t.equal(self.counted(), own, f"{after}: every request to nginx is counted")
        t.equal(self.report()["completeness"]["lost"], 0, f"{after}: none is lost")
        for name, pid in {"collector": self.process.pid, "courier": self.courier}.items():
            t.ok(not sjdaemon.gone(pid), f"{after}: the {name} lives")
            allowed = self.fds[pid] + 2  # one that asks
            with contextlib.suppress(sjtest.Failed):
                sjtest.await_true(lambda: fds(pid) <= allowed, "descriptors", timeout=90)
            t.ok(fds(pid) <= allowed, f"{after}: the {name} holds no more descriptors than before", got=fds(pid),
                 allowed=allowed)
            t.ok(rss(pid) <= RSS_MAX, f"{after}: the {name}'s memory is bounded", got=rss(pid))
        t.equal([line for line in self.process.err().splitlines() if "anitizer" in line], [], f"{after}: nothing broke")

    def ends(self, t, after):
        status = sjtest.stop(self.process)
        left = self.links & sjdaemon.links()
        t.equal((status, left, sjdaemon.gone(self.courier), sjtest.accepts(("127.0.0.1", self.port))),
                (0, set(), True, False), f"{after}: it ends, and nothing is left")


REFUSED = {
    "POST": (get(b"/metrics", b"Content-Length: 3\r\n", method=b"POST") + b"a=b", 405),
    "PUT": (get(b"/metrics", method=b"PUT"), 405),
    "DELETE": (get(b"/metrics", method=b"DELETE"), 405),
    "TRACE": (get(b"/", method=b"TRACE"), 405),
    "OPTIONS *": (get(b"*", method=b"OPTIONS"), 405),
    "CONNECT": (get(b"example.org:443", method=b"CONNECT"), 405),
    "a method in small letters": (get(b"/metrics", method=b"get"), 405),
    "a header of 9,000 bytes": (get(b"/metrics", b"X: " + b"a" * 9000 + b"\r\n"), 431),
    "a head of a megabyte": (get(b"/metrics", b"X: y\r\n" * 170000), 431),
    "a hundred fields": (get(b"/metrics", b"X: y\r\n" * 100), 431),
    "a request line of 3,000 bytes": (get(b"/" + b"a" * 3000), 414),
    "one that never ends": (b"GET /" + b"a" * 100000, 414),
    "a body": (get(b"/metrics", b"Content-Length: 5\r\n") + b"hello", 413),
    "a body in chunks": (get(b"/metrics", b"Transfer-Encoding: chunked\r\n") + b"5\r\nhello\r\n0\r\n\r\n", 413),
    "chunks of garbage": (get(b"/metrics", b"Transfer-Encoding: chunked\r\n") + b"zz\r\n\xff" * 100, 413),
    "a length and chunks": (get(b"/", b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n") + b"0\r\n\r\n" + GOOD,
                            413),
    "a body that waits for 100": (get(b"/", b"Content-Length: 5\r\nExpect: 100-continue\r\n"), 413),
    "a length below zero": (get(b"/", b"Content-Length: -1\r\n"), 400),
    "a length of 2^64": (get(b"/", b"Content-Length: 18446744073709551616\r\n"), 413),
    "two lengths": (get(b"/", b"Content-Length: 0\r\nContent-Length: 0\r\n"), 400),
    "no host": (b"GET / HTTP/1.1\r\n\r\n", 400),
    "two hosts": (get(b"/", HOST), 400),
    "lines without CR": (b"GET / HTTP/1.1\nHost: x\n\n", 400),
    "a folded line": (get(b"/", b"A: b\r\n c\r\n"), 400),
    "a space before the colon": (get(b"/", b"A : b\r\n"), 400),
    "a line without a colon": (get(b"/", b"nonsense\r\n"), 400),
    "a NUL in a field": (get(b"/", b"A: b\0c\r\n"), 400),
    "a NUL in the path": (get(b"/metrics\0"), 400),
    "an encoded one": (get(b"/metrics%00"), 400),
    "a broken escape": (get(b"/metrics%zz"), 400),
    "no version": (b"GET /metrics\r\n\r\n", 400),
    "HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    "HTTP/9": (get(b"/", version=b"9.9"), 505),
    "spaces": (b"GET  /  HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "the hello of TLS": (bytes.fromhex("160301020001000 1fc0303".replace(" ", "")) + bytes(505), 400),
    "an empty line and no more": (b"\r\n\r\n", 400),
}

PATHS = {
    b"/../../etc/passwd": 404, b"/%2e%2e/%2e%2e/etc/passwd": 404, b"/..%2f..%2fetc%2fpasswd": 404,
    b"/metrics/../../../etc/passwd": 404, b"/..\\..\\etc\\passwd": 404, b"//etc/passwd": 404, b"/metrics/": 404,
    b"//metrics": 404, b"/./metrics": 404, b"/metrics%2f": 404, b"/-/reload": 404, b"/-/quit": 404,
    b"/debug/pprof": 404, b"/api/v1/report/..": 404, b"/%252e%252e/etc/passwd": 404, b"/" + b"a/" * 900: 404,
    b"/\xff\xfe": 400,
    b"file:///etc/passwd": 400, b"etc/passwd": 400,
}


def what_is_wrong_is_refused(t):
    with Watched() as d:
        for name, (request, wanted) in REFUSED.items():
            answer = talk(d, request)
            got = heads(answer)
            t.equal(got, [wanted], f"{name}: {wanted}, and the end", answer=answer[:120])
            if wanted == 405:
                t.ok(b"\r\nAllow: GET, HEAD\r\n" in answer, f"{name}: what is allowed is said")
        for path, wanted in PATHS.items():
            answer = talk(d, get(path, b"Connection: close\r\n"))
            t.ok(heads(answer) == [wanted] and b"root:" not in answer, f"{path.decode('latin-1')[:40]!r}: {wanted}",
                 answer=answer[:120])
        dice = random.Random(20)
        statuses = [heads(talk(d, dice.randbytes(dice.randrange(1, 3000)) + b"\r\n\r\n")) for _ in range(100)]
        t.equal([s for s in statuses if s not in ([400], [])], [], "random bytes are answered with 400 or nothing")
        d.check(t, "what is refused")
        d.ends(t, "what is refused")


def what_is_right_is_answered(t):
    with Watched() as d:
        close = b"Connection: close\r\n"
        requests = {
            "GET": get(b"/metrics", close),
            "HTTP/1.0": get(b"/metrics", version=b"1.0"),
            "HTTP/1.0 without a host": b"GET /metrics HTTP/1.0\r\n\r\n",
            "a whole URL": get(b"http://example.org:1/metrics", close),
            "a query": get(b"/metrics?name[]=x&y=%00", close),
            "escapes": get(b"/%6d%65trics", close),
            "a body of no bytes": get(b"/metrics", close + b"Content-Length: 0\r\n"),
            "Expect": get(b"/metrics", close + b"Expect: 100-continue\r\n"),
            "an empty line before": b"\r\n" + get(b"/metrics", close),
            "a head of 8,000 bytes": get(b"/metrics", close + b"X: " + b"a" * 7900 + b"\r\n"),
        }
        for name, request in requests.items():
            answer = talk(d, request)
            head, _, body = answer.partition(b"\r\n\r\n")
            length = re.search(rb"\r\nContent-Length: (\d+)", head)
            t.ok(heads(head) == [200] and length and int(length[1]) == len(body) and b"sojourn_build_info" in body,
                 f"{name}: answered as a whole", answer=answer[:120])
        head, _, body = talk(d, get(b"/metrics", close, method=b"HEAD")).partition(b"\r\n\r\n")
        t.ok(heads(head) == [200] and b"Content-Length: " in head and not body, "HEAD: the head alone", body=body[:80])
        pieces = [bytes([byte]) for byte in get(b"/-/ready", close)]
        t.equal(heads(talk(d, *pieces, gap=0.002)), [200], "a head that comes byte by byte")
        many = [(b"/-/healthy", 200), (b"/nothing", 404), (b"/metrics", 200), (b"/-/ready", 200)] * 25
        for half in (False, True):
            line = b"".join(get(path, b"" if half or i < 99 else close) for i, (path, _) in enumerate(many))
            t.equal(heads(talk(d, line, close_writing=half)), [status for _, status in many],
                    f"a hundred pipelined requests{', and no more can come' if half else ''}: answered in their order")
        t.equal(heads(talk(d, GOOD * 2 + b"\x00\xff garbage" + GOOD)), [200, 200, 400],
                "garbage after two requests: those are answered, and nothing behind it")
        t.equal(heads(talk(d, GOOD + get(b"/", b"Content-Length: 40\r\n") + GOOD * 9)), [200, 413],
                "what is in a body is no request")
        for _ in range(50):  # nothing is read of the answer, or only its first bytes
            with socket.create_connection(("127.0.0.1", d.port)) as s:
                s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                s.sendall(get(b"/metrics") * 3)
                s.recv(1)
        t.equal(d.get("/-/ready")[0], 200, "clients that are gone before their answer harm nobody")
        d.check(t, "what is answered")


def hold(address, seconds, first, piece, pause):
    """What a client gets that sends a piece after each pause, and how long it was borne with."""
    begin, answer = time.monotonic(), b""
    with socket.create_connection(address) as s, contextlib.suppress(ConnectionError):
        s.sendall(first)
        while time.monotonic() - begin < seconds:
            s.settimeout(pause)
            try:
                chunk = s.recv(4096)
                answer += chunk
                if not chunk:
                    return answer, True
            except TimeoutError:
                s.sendall(piece)
        return answer, False
    return answer, True


def the_slow_are_not_waited_for(t):
    """The bound is 10 s for a head and 20 s for an answer, and much longer here."""
    with Watched() as d:
        address, results = ("127.0.0.1", d.port), {}
        clients = {"a head of a byte a second": (b"G", b"E", 1.0),
                   "a field a second": (b"GET / HTTP/1.1\r\n", b"A: b\r\n", 1.0),
                   "silence": (b"", b"", 1.0), "silence within a head": (b"GET / HTTP/1.1\r\nHo", b"", 1.0),
                   "bytes behind a refusal": (get(b"/", method=b"POST"), b"x" * 1000, 0.05)}

        def slow(name):
            results[name] = hold(address, 40, *clients[name])

        silent = sjtest.Threads(lambda: slow("silence"))
        waiting = sjtest.Threads(*(lambda name=name: slow(name) for name in clients if name != "silence"))
        waiting.finish()
        # Now every place is taken, and those who have asked for nothing go first.
        readers = [socket.create_connection(address) for _ in range(CONNECTIONS_MAX + 20)]
        for s in readers:  # nobody reads what they ask for; it fills every buffer on its way
            s.setblocking(False)
            with contextlib.suppress(BlockingIOError, ConnectionError):
                for _ in range(20):
                    s.send(get(b"/metrics") * 100)
        with contextlib.suppress(OSError):
            d.get("/metrics")  # a reader whose handshake ends after this one's begun takes its place
        answered = [d.get("/metrics")[0] for _ in range(20)]
        t.equal(answered, [200] * 20, "with every place taken by clients that do not read, others are answered")
        silent.finish()
        for name in clients:
            t.ok(results[name][1], f"{name}: ended by the server", got=results[name][0][:100])
        for name in ("a head of a byte a second", "a field a second", "silence within a head"):
            t.equal(heads(results[name][0]), [408], f"{name}: 408")
        open_now = sjtest.await_true(lambda: d.metric("sojourn_http_connections") or 0, "connections")
        with contextlib.suppress(sjtest.Failed):
            sjtest.await_true(lambda: d.metric("sojourn_http_connections") <= 2, "the end of those who do not read", 90)
        t.ok(d.metric("sojourn_http_connections") <= 2, "nor are those who do not read what they asked for",
             before=open_now, after=d.metric("sojourn_http_connections"))
        for s in readers:
            s.close()
        d.check(t, "slow clients")


def ten_thousand_connections(t):
    resource.setrlimit(resource.RLIMIT_NOFILE, (12000, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    with Watched() as d, contextlib.ExitStack() as stack:
        refused, answers, late, over = [], [], [], threading.Event()

        def connect(first):
            for i in range(first, 10000, 4):
                try:
                    s = stack.enter_context(socket.create_connection(("127.0.0.1", d.port), timeout=60))
                    if i % 3 == 1:
                        s.sendall(b"GET /metrics HTTP/1.1\r\n")
                    elif i % 3 == 2:
                        s.sendall(GOOD)
                except OSError as trouble:
                    refused.append(trouble)

        def scrape():
            while not over.is_set():
                try:
                    answers.append(d.get("/metrics")[0])
                except OSError as trouble:
                    late.append(trouble)

        scraper = sjtest.Threads(scrape)
        sjtest.Threads(*(lambda first=first: connect(first) for first in range(4))).finish()
        t.ok(len(refused) < 5000, "10,000 connections are taken, or the connection is reset", refused=len(refused))
        t.ok(d.metric("sojourn_http_connections") <= CONNECTIONS_MAX, "of which it keeps 256 at most")
        t.ok(fds(d.courier) <= d.fds[d.courier] + CONNECTIONS_MAX + 2, "and as many descriptors", got=fds(d.courier))
        gone = 10000 - CONNECTIONS_MAX - len(refused)
        with contextlib.suppress(sjtest.Failed):  # the courier tells its figures once a second
            sjtest.await_true(lambda: d.metric("sojourn_http_requests_denied_total") >= gone, "the count")
        t.ok(d.metric("sojourn_http_requests_denied_total") >= gone, "those that had to go are counted",
             got=d.metric("sojourn_http_requests_denied_total"), wanted=gone)
        over.set()
        scraper.finish()
        t.equal([a for a in answers if a != 200], [], f"{len(answers)} scrapes meanwhile: all answered")
        # who loses the CPU before it has asked is one of those that have to go
        t.ok(len(late) <= 3 and len(answers) >= 20, "hardly one comes too late to be heard", answers=len(answers),
             late=late)
        stack.close()
        d.check(t, "10,000 connections")
        d.ends(t, "10,000 connections")


class Secure(sjdaemon.Daemon):
    """With a web configuration, read with curl."""

    def __init__(self):
        self.folder = sjtest.temp("tls")
        os.mkdir(self.folder)
        sjdaemon.certificates(self.folder, "ca")
        sjdaemon.certificates(self.folder, "server", "ca")
        super().__init__(f"web_config_file: {self.folder}/web.yml\n")

    def web(self, password="secret", tls="", certificate="server"):
        text = (f"tls_server_config:\n  cert_file: {certificate}.pem\n  key_file: {certificate}.key\n{tls}"
                f"http_server_config:\n  headers:\n    Strict-Transport-Security: max-age=60\n"
                f"basic_auth_users:\n  alice: {sjdaemon.bcrypt(password)}\n")
        with open(self.folder + "/web.yml", "w", encoding="utf-8") as file:
            file.write(text)

    def curl(self, *options, path="/-/ready", scheme="https"):
        """The status, 0 without an answer; and the head."""
        process = sjtest.Process(["curl", "-sS", "-D", "-", "-o", "/dev/null", "--max-time", "30", "--cacert",
                                  self.folder + "/ca.pem", *options, f"{scheme}://127.0.0.1:{self.port}{path}"])
        process.wait(60)
        head = process.out()
        status = int(head.split()[1]) if head.startswith("HTTP/") else 0
        sjtest.stop(process)
        return status, head

    def status(self, *options, **more):
        return self.curl(*options, **more)[0]

    def get(self, path):
        return self.curl(*ALICE, path=path)

ALICE = ("-u", "alice:secret")


def hello(d, version):
    """openssl's s_client with this version of TLS alone: its status and what it says."""
    with open("/dev/null", "rb") as nothing:
        process = sjtest.Process(["openssl", "s_client", "-connect", f"127.0.0.1:{d.port}", "-cipher",
                                  "ALL:@SECLEVEL=0", version], stdin=nothing)
        process.wait(60)
    told = process.told()
    sjtest.stop(process)
    return process.returncode, told


def serial(d):
    context = ssl.create_default_context(cafile=d.folder + "/ca.pem")
    with socket.create_connection(("127.0.0.1", d.port), timeout=30) as s:
        with context.wrap_socket(s, server_hostname="127.0.0.1") as tls:
            return tls.getpeercert()["subject"][0][0][1]


def passwords(t, d):
    t.equal(d.status(*ALICE), 200, "the right password")
    t.equal(d.status(*ALICE, path="/metrics"), 200, "the metrics")
    for name, options in {"none": (), "a wrong one": ("-u", "alice:wrong"), "an empty one": ("-u", "alice:"),
                          "another user": ("-u", "bob:secret"), "a token": ("-H", "Authorization: Bearer secret"),
                          "garbage": ("-H", "Authorization: Basic !!!!"),
                          "no colon": ("-H", "Authorization: Basic YWxpY2U="),
                          "the hash itself": ("-u", "alice:" + sjdaemon.bcrypt("secret"))}.items():
        status, head = d.curl(*options)
        t.ok(status == 401 and 'www-authenticate: basic realm="sojourn"' in head.lower(), f"password: {name}: 401",
             head=head)
    paths = ("/metrics", "/nothing", "/-/healthy")
    statuses = [d.status(*options, path=path) for options in ((), ALICE) for path in paths]
    t.equal(statuses, [401, 401, 401, 200, 404, 200], "without one, nothing is told, not even which paths there are")
    t.ok("max-age=60" in d.curl(*ALICE)[1], "the headers of the web configuration are sent")
    guesses = sjtest.Threads(*(lambda: [d.status("-u", f"alice:{i}") for i in range(10)] for _ in range(4)))
    t.equal([d.status(*ALICE) for _ in range(10)], [200] * 10, "who guesses keeps nobody else out")
    guesses.finish()


def handshakes(t, d):
    t.equal((d.status(*ALICE, scheme="http"), heads(talk(d, GOOD))), (0, []), "HTTP without TLS: no answer")
    t.equal(heads(talk(d, random.Random(7).randbytes(2000))), [], "garbage: the end")
    for version, spoken in (("-tls1", False), ("-tls1_1", False), ("-tls1_2", True), ("-tls1_3", True)):
        status, told = hello(d, version)
        t.ok((status == 0) == spoken and (spoken or "protocol version" in told),
             f"{version}: {'spoken' if spoken else 'refused'}", status=status, told=told[-300:])
    t.equal(d.status(*ALICE, "--http1.0"), 200, "HTTP/1.0")
    idle = [socket.create_connection(("127.0.0.1", d.port)) for _ in range(300)]
    for s in idle[::2]:
        s.sendall(bytes.fromhex("1603010200010001fc0303"))
    t.equal(d.status(*ALICE), 200, "with 300 handshakes that do not go on, others are made")
    for s in idle:
        s.close()


def a_changed_web_configuration(t, d):
    sjdaemon.certificates(d.folder, "other", "ca")
    sjdaemon.certificates(d.folder, "client", "ca")
    t.equal(serial(d), "server", "the certificate")
    d.web(certificate="other", password="changed", tls="  min_version: TLS13\n")
    t.equal((serial(d), d.status(*ALICE)), ("server", 200), "a changed file changes nothing before SIGHUP")
    d.reload()
    t.equal((serial(d), d.status(*ALICE), d.status("-u", "alice:changed")), ("other", 401, 200),
            "SIGHUP: another certificate, another password")
    t.equal((hello(d, "-tls1_2")[0] != 0, hello(d, "-tls1_3")[0]), (True, 0), "and another version of TLS")
    d.web(tls="  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: ca.pem\n")
    d.reload()
    t.equal((d.status(*ALICE), d.status(*ALICE, "--cert", d.folder + "/client.pem", "--key", d.folder + "/client.key")),
            (0, 200), "clients that have to show a certificate")


def tls_and_passwords(t):
    d = Secure()
    d.web()
    with d:
        passwords(t, d)
        handshakes(t, d)
        a_changed_web_configuration(t, d)
        with open(f"/proc/{d.process.pid}/cmdline", encoding="utf-8") as file:
            told = d.process.told() + file.read()
        t.ok("$2b$" not in told and "secret" not in told, "no password or hash is told of", told=told[-500:])


def addresses(t):
    def serve(listen, port):
        d = sjdaemon.Daemon()
        d.port = port
        d.write(f"listen: \"{listen}:{port}\"\nstate_dir: {d.state}\n")
        return d

    listens = {"[::1]": ["::1"], "": ["127.0.0.1", "::1"], "0.0.0.0": ["127.0.0.1"], "localhost": ["localhost"],
               "[::]": ["::1"]}
    held = set()
    for listen, reached in listens.items():
        port = sjtest.free_port("::1")
        d = serve(listen, port)
        d.process = sjtest.Process([sjtest.SOJOURN, "serve", "-c", d.path])
        with contextlib.suppress(sjtest.Failed):
            sjtest.await_true(lambda: "measuring" in d.process.err(), "measuring", process=d.process)
            held |= sjdaemon.held_by(d.process.pid)
        got = []
        for host in reached:
            with contextlib.suppress(OSError), socket.create_connection((host, port), timeout=20) as s:
                s.sendall(GOOD.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
                got.append(heads(s.recv(4096)))
        t.equal(got, [[200]] * len(reached), f"listen: {listen}:PORT", said=d.process.told())
        if listen == "":
            status, _, err = sjdaemon.status_of(["serve", "-c", serve("127.0.0.1", port).path])
            t.ok(status == 69 and f"127.0.0.1:{port}" in err and "`listen`" in err and err.count("\n") == 1,
                 "an address that is taken: a line that says so", status=status, err=err)
        sjtest.stop(d.process)
    for listen, wanted in {"192.0.2.1": 69, "no.such.host.invalid": 78, "[fe80::1%nowhere]": 78}.items():
        status, _, err = sjdaemon.status_of(["serve", "-c", serve(listen, sjtest.free_port()).path])
        t.ok(status == wanted and err.count("\n") == 1 and "listen" in err,
             f"listen: {listen}: status {wanted}, one line", status=status, err=err)
    with contextlib.suppress(sjtest.Failed):
        sjtest.await_true(lambda: not held & sjdaemon.links(), "their end")
    t.ok(held and not held & sjdaemon.links(), "nothing stays attached")


sjtest.main(what_is_wrong_is_refused, what_is_right_is_answered, the_slow_are_not_waited_for, ten_thousand_connections,
            tls_and_passwords, addresses)
