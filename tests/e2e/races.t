#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ends and threads that overtake a call: what the socket layer does is seen a moment before the call is that did it."""

import contextlib
import json
import os
import signal
import socket
import struct
import threading
import time

import sjtest

N = 23
CPUS = os.sched_getaffinity(0)
ASK = b"GET /held HTTP/1.1\r\nHost: x\r\n\r\n"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 64\r\n\r\n" + 64 * b"x"
HALF = len(ANSWER) // 2
TRACEFS = 'mount -t tracefs tracefs /sys/kernel/tracing; exec bpftrace -B line -e "$1"'
LOOP = "{ $i = 0; while ($i < %d) { @j = $i; $i++; } @held = count(); }"
# A socket that is reset has given up its port then, and still has its old state.
IS_RESET = "args->sport == %d && args->oldstate == 1 && args->newstate == 7"
HELD_RESET = f"tracepoint:sock:inet_sock_set_state /{IS_RESET}/ " + LOOP % 45000
TOLD = " interval:ms:100 { print(@held); }"
HELD_CALL = 'tracepoint:sock:sock_send_length /comm == "%s"/ ' + LOOP % 15000


class Held:
    """
    Threads of this name are held up on their way out of each call that sends, for some milliseconds. With a port, sockets
    of this port are held up as well when they are reset, for longer than that. The thread that makes this has another
    CPU than they (see called).
    """

    def __init__(self, name, port=0):
        self.program = HELD_CALL % name + (" " + HELD_RESET % port if port else "") + TOLD

    def __enter__(self):
        os.sched_setaffinity(0, {max(CPUS)})
        sjtest.have("bpftrace")
        self.process = sjtest.Process(["unshare", "-m", "sh", "-c", TRACEFS, "sh", self.program])
        sjtest.await_true(self.attached, "calls that are held up", timeout=30, process=self.process)
        return self

    def attached(self):
        listed = sjtest.run([sjtest.have("bpftool"), "-j", "perf"])
        mine = [e for e in json.loads(listed) if e["pid"] == self.process.pid and "tracepoint" in e["fd_type"]]
        return len(mine) == self.program.count("tracepoint:")

    def __exit__(self, kind, value, trace):
        try:
            before = len(self.told())  # what it tells the time after next is of all that was held up until now
            sjtest.await_true(lambda: len(self.told()) > before + 1, "a count of what was held up", process=self.process)
        finally:
            sjtest.stop(self.process, signal.SIGKILL)
            os.sched_setaffinity(0, CPUS)

    def told(self):
        return [line.split()[1] for line in self.process.out().splitlines() if line.startswith("@held: ")]

    def count(self):
        return int(self.told()[-1])


def called(name):
    """Names the calling thread, and moves it away from the CPU of whom it serves."""
    os.sched_setaffinity(0, {min(CPUS)})
    with open("/proc/thread-self/comm", "w", encoding="ascii") as file:
        file.write(name)


class Serving:
    """A listener whose connections are given to serve(socket), one after the other, by a thread."""

    def __init__(self, serve, unix=False):
        self.serve = serve
        self.served = 0
        self.family = socket.AF_UNIX if unix else socket.AF_INET
        self.listener = socket.socket(self.family)
        self.listener.bind(sjtest.temp("socket") if unix else ("127.0.0.1", 0))
        self.listener.listen()
        self.address = self.listener.getsockname()
        self.port = 0 if unix else self.address[1]
        self.thread = threading.Thread(target=self.run)

    def run(self):
        with contextlib.suppress(OSError):
            while True:
                s, _ = self.listener.accept()
                with s:
                    self.serve(s)
                self.served += 1

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, kind, value, trace):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.thread.join()
        self.listener.close()


def connected(server):
    s = socket.socket(server.family)
    s.settimeout(20)
    s.connect(server.address)
    return s


def resets(s):
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def read_all(s):
    got = b""
    while chunk := s.recv(4096):
        got += chunk
    return got


def await_reset(s):
    with contextlib.suppress(ConnectionResetError):
        s.recv(4096)


def read_ask(s):
    got = b""
    while b"\r\n\r\n" not in got and (chunk := s.recv(4096)):
        got += chunk
    return got


def ask(server):
    """One request, whose answer is read. Gives the socket."""
    s = connected(server)
    s.sendall(ASK)
    got = b""
    while len(got) < len(ANSWER):
        got += s.recv(4096)
    if got != ANSWER:
        raise sjtest.Failed("another answer")
    return s


def measured(server, probe_set, one, connections=N):
    arguments = ["--port", server.port] if server.port else ["--pid", os.getpid()]
    arguments += ["--probe-set", probe_set]
    with sjtest.Measure(*arguments, command="trace") as trace, sjtest.Measure(*arguments) as m:
        for _ in range(connections):
            one()
        sjtest.await_true(lambda: server.served == connections, "the end of the server's calls")
    return m, trace


def whole(t, what, m, trace, errors=True):
    for role in ("server", "client"):
        t.equal(m.requests(role=role), N, f"{what}: all are told ({role})", completeness=m.completeness)
        if errors:
            t.all([line for line in trace.select(role=role) if line["error"] or line.get("status") != "200"],
                  f"{what}: none is an error ({role})")
    t.equal((m.completeness["cut_off"], m.completeness["lost"]), (0, 0), f"{what}: none is cut off or lost")


def half_closed_when_answered(t):
    """The answer and the server's FIN are there, unread, when the client says that it has no more to ask."""
    def serve(s):
        read_ask(s)
        s.sendall(ANSWER)

    for probe_set in ("socket", "syscall"):
        with Serving(serve) as server:
            def one():
                with connected(server) as s:
                    s.sendall(ASK)
                    time.sleep(0.01)
                    s.shutdown(socket.SHUT_WR)
                    if read_all(s) != ANSWER:
                        raise sjtest.Failed("another answer")
            whole(t, f"{probe_set}: half-closed when answered", *measured(server, probe_set, one))


def reset_after_the_end(t):
    """The client resets when it has read the answer and the server's FIN, which it has not acknowledged yet."""
    def serve(s):
        read_ask(s)
        s.sendall(ANSWER)
        time.sleep(0.06)  # the answer's acknowledgement may wait for 40 ms

    for probe_set in ("socket", "syscall"):
        with Serving(serve) as server:
            def one():
                with connected(server) as s:
                    s.sendall(ASK)
                    read_all(s)
                    resets(s)
            whole(t, f"{probe_set}: reset after the end", *measured(server, probe_set, one))


def reset_before_the_call_is_over(t):
    """The reset comes in before the call's tracepoint; or has begun before it, and is over only behind it."""
    name = f"hld{os.getpid()}"

    def serve(s):
        called(name)
        read_ask(s)
        s.sendall(ANSWER)
        await_reset(s)

    for probe_set in ("socket", "syscall"):
        for reset_too in (False, True):
            with Serving(serve) as server, Held(name, server.port if reset_too else 0) as held:
                def one():
                    with ask(server) as s:
                        resets(s)
                m, trace = measured(server, probe_set, one)
            what = f"{probe_set}: reset before the answer's call was over" + (", and held up" if reset_too else "")
            whole(t, what, m, trace, errors=False)
            t.equal(held.count(), N * (2 if reset_too else 1), f"{what}: each was held up")


def reset_before_a_later_piece_is_over(t):
    name = f"hld{os.getpid()}"

    def serve(s):
        called(name)
        read_ask(s)
        s.sendall(ANSWER[:HALF])
        time.sleep(0.005)
        s.sendall(ANSWER[HALF:])
        await_reset(s)

    for probe_set in ("socket", "syscall"):
        with Held(name) as held, Serving(serve) as server:
            def one():
                with ask(server) as s:
                    resets(s)
            m, trace = measured(server, probe_set, one)
        what = f"{probe_set}: reset before the call of a later piece was over"
        whole(t, what, m, trace, errors=False)
        for role in ("server", "client"):
            t.all([line for line in trace.select(role=role)
                   if line["total"] < 0.005 or len(ANSWER) not in (line["bytes_in"], line["bytes_out"])],
                  f"{what}: in full ({role})")
        t.all([line for line in trace.select(role="client") if line["error"]], f"{what}: none is an error (client)")
        t.equal(held.count(), 2 * N, f"{what}: each was held up")


def reset_behind_unread_data(t):
    """A piece of the answer, then the rest and a reset: the client reads all of it."""
    def serve(s):
        read_ask(s)
        s.sendall(ANSWER[:HALF])
        time.sleep(0.005)
        s.sendall(ANSWER[HALF:])
        resets(s)

    for probe_set in ("socket", "syscall"):
        with Serving(serve) as server:
            def one():
                with connected(server) as s:
                    s.sendall(ASK)
                    got = s.recv(4096)
                    time.sleep(0.02)
                    got += s.recv(4096)
                    if got != ANSWER:
                        raise sjtest.Failed("another answer")
            m, trace = measured(server, probe_set, one)
        what = f"{probe_set}: reset behind unread data"
        whole(t, what, m, trace)
        t.all([line for line in trace.select(role="client") if line["total"] < 0.02 or line["bytes_in"] != len(ANSWER)],
              f"{what}: in full")


def broken_pipe_before_the_answer_is_read(t):
    """A server that refuses the rest of a request and closes: the client runs into that, and then reads the answer."""
    def serve(s):
        s.recv(4096)
        s.sendall(ANSWER)

    for probe_set in ("socket", "syscall"):
        for unix in (False, True):
            with Serving(serve, unix) as server:
                def one():
                    with connected(server) as s:
                        s.sendall(b"POST /held HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n")
                        time.sleep(0.01)
                        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                            s.sendall(b"a part that may be reset")
                            time.sleep(0.01)
                            s.sendall(b"a part")
                            raise sjtest.Failed("sent what nobody takes")
                        if s.recv(4096) != ANSWER:
                            raise sjtest.Failed("another answer")
                whole(t, f"{probe_set}, {'unix' if unix else 'TCP'}: broken pipe before the answer is read",
                      *measured(server, probe_set, one))


def another_thread_is_told_of_the_reset(t):
    """A server with a thread that waits for the next request, while another one's answer is held up."""
    name = f"hld{os.getpid()}"

    def serve(s):
        read_ask(s)

        def answer():
            called(name)
            s.sendall(ANSWER)

        answering = threading.Thread(target=answer)
        answering.start()
        await_reset(s)
        answering.join()

    for probe_set in ("socket", "syscall"):
        with Held(name) as held, Serving(serve) as server:
            def one():
                with ask(server) as s:
                    resets(s)
            m, trace = measured(server, probe_set, one)
        what = f"{probe_set}: another thread is told of the reset"
        whole(t, what, m, trace, errors=False)
        t.equal(held.count(), N, f"{what}: each was held up")


def reader_overtakes_the_writer(t):
    """
    A client that writes in one thread and reads in another, which has every other answer before the writer's call is
    over. What those requests said is not known then.
    """
    name, held_up = f"hld{os.getpid()}", N // 2

    def serve(s):
        while read_ask(s):
            time.sleep(0.001)
            s.sendall(ANSWER)

    for probe_set in ("socket", "syscall"):
        with Held(name) as held, Serving(serve) as server:
            def one():
                with connected(server) as s:
                    wanted = threading.Semaphore(0)

                    def write():
                        for i in range(N):
                            called(name if i % 2 else "writer")
                            wanted.acquire()
                            s.sendall(ASK)

                    writing = threading.Thread(target=write)
                    writing.start()
                    for _ in range(N):
                        wanted.release()
                        if s.recv(4096) != ANSWER:
                            raise sjtest.Failed("another answer")
                    writing.join()
            m, trace = measured(server, probe_set, one, 1)
        what = f"{probe_set}: the reader overtakes the writer"
        whole(t, what, m, trace, errors=False)
        t.all([line for line in trace.lines if line["error"] or line["total"] < 0.001], f"{what}: each in full")
        t.equal(m.operations(role="server"), {"GET /held": N}, f"{what}: the server knows all that was asked")
        t.at_least(m.operations(role="client").get("GET /held", 0), N - held_up,
                   f"{what}: and the client what was not overtaken", completeness=m.completeness)
        t.equal(held.count(), held_up, f"{what}: every other was held up")


sjtest.main(half_closed_when_answered, reset_after_the_end, reset_before_the_call_is_over,
            reset_before_a_later_piece_is_over, reset_behind_unread_data, broken_pipe_before_the_answer_is_read,
            another_thread_is_told_of_the_reset, reader_overtakes_the_writer)
