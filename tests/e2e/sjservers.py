# SPDX-License-Identifier: GPL-3.0-or-later
"""Well-known servers, each with its own configuration, folder and port. Tests import sjtest."""

import os
import shutil
import signal
import subprocess

from sjbase import Failed, Process, Service, accepts, await_true, free_port, have, run, stop, talk, temp

POSTGRES_FOLDERS = [f"/usr/lib/postgresql/{version}/bin" for version in range(20, 12, -1)]

NGINX_CONF = """
daemon off;
master_process {master};
worker_processes {workers};
pid {folder}/nginx.pid;
error_log {folder}/error.log warn;
{user}
events {{ worker_connections 16384; }}
worker_rlimit_nofile 32768;
http {{
    access_log off;
    keepalive_requests 1000000000;
    keepalive_timeout 600s;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    {http}
    server {{
        {listen}
        location = /status {{ stub_status; }}
        {locations}
    }}
}}
"""


class Nginx(Service):
    """nginx with its own configuration and port. `/status` is stub_status; `/` answers 200 with `body`."""

    def __init__(self, locations="", http="", listen="", body="hello", workers=1, program=None):
        self.program = program or have("nginx")
        self.port = free_port()
        self.status_port = free_port()
        self.folder = temp("nginx")
        os.mkdir(self.folder)
        if "location / " not in locations:
            locations += f'location / {{ default_type text/plain; return 200 "{body}"; }}'
        # Its own requests for the status go to another port, so that a filter by port leaves them out.
        http += f"\n    server {{ listen 127.0.0.1:{self.status_port}; location = /status {{ stub_status; }} }}"
        listen = f"listen 127.0.0.1:{self.port} backlog=8192 default_server; {listen}"
        with open(self.folder + "/nginx.conf", "w", encoding="utf-8") as file:
            file.write(NGINX_CONF.format(folder=self.folder, workers=workers, listen=listen, locations=locations,
                                         http=http, master="on" if workers > 1 else "off",
                                         user="user root;" if os.geteuid() == 0 else ""))
        self.url = f"http://127.0.0.1:{self.port}"

    def start(self):
        if not self.program:
            raise Failed("nginx is not installed")
        self.process = Process([self.program, "-p", self.folder, "-c", self.folder + "/nginx.conf",
                                "-e", self.folder + "/error.log"])
        await_true(lambda: accepts(("127.0.0.1", self.port)), "nginx listens", process=self.process)
        self.pid = self.process.pid

    def stub_status(self):
        """accepts, handled, requests since nginx started; asking is itself a request, included in the numbers."""
        answer = talk(("127.0.0.1", self.status_port), b"GET /status HTTP/1.0\r\n\r\n").decode()
        numbers = answer.split("requests\n")[1].split("\n")[0].split()
        return {"accepts": int(numbers[0]), "handled": int(numbers[1]), "requests": int(numbers[2])}


class Redis(Service):
    """redis on a port of its own, or on a unix socket."""

    def __init__(self, *arguments, unix=False, program=None):
        self.program = program or have("redis-server")
        self.folder = temp("redis")
        os.mkdir(self.folder)
        self.path = self.folder + "/redis.sock" if unix else None
        self.port = 0 if unix else free_port()
        self.arguments = arguments

    def start(self):
        if not self.program:
            raise Failed("redis-server is not installed")
        where = ["--port", "0", "--unixsocket", self.path] if self.path else ["--port", self.port]
        self.process = Process([self.program, "--bind", "127.0.0.1", *where, "--dir", self.folder, "--save", "",
                                "--appendonly", "no", "--daemonize", "no", *self.arguments])
        await_true(lambda: accepts(self.target()), "redis listens", process=self.process)
        self.pid = self.process.pid

    def target(self):
        return self.path or ("127.0.0.1", self.port)

    def cli(self, *words):
        where = ["-s", self.path] if self.path else ["-p", self.port]
        return run(["redis-cli", *where, *words])


class Postgres(Service):
    """PostgreSQL with its own data folder, as the user postgres; a port of its own and a unix socket."""

    def __init__(self, *settings):
        self.settings = settings
        self.port = free_port()
        self.folder = temp("postgres")
        os.mkdir(self.folder)
        self.bin = next((folder for folder in POSTGRES_FOLDERS if os.path.exists(folder + "/postgres")), None)
        self.as_user = []
        if os.geteuid() == 0:
            self.as_user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups", "--"]

    def start(self):
        if not self.bin:
            raise Failed("PostgreSQL is not installed")
        if self.as_user:
            shutil.chown(self.folder, "postgres", "postgres")
        data = self.folder + "/data"
        run([*self.as_user, self.bin + "/initdb", "-D", data, "-A", "trust", "-U", "postgres", "--no-sync",
             "--locale=C"], cwd="/")
        settings = ["fsync=off", f"unix_socket_directories={self.folder}", "listen_addresses=127.0.0.1",
                    *self.settings]
        options = [word for setting in settings for word in ("-c", setting)]
        self.process = Process([*self.as_user, self.bin + "/postgres", "-D", data, "-p", self.port, *options], cwd="/")
        await_true(self.ready, "PostgreSQL answers", process=self.process)
        self.pid = self.process.pid

    def ready(self):
        check = [self.bin + "/pg_isready", "-q", "-h", self.folder, "-p", str(self.port)]
        return subprocess.run(check, check=False).returncode == 0

    def psql_command(self, *arguments, host=None):
        return [self.bin + "/psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-U", "postgres",
                "-h", host or self.folder, "-p", self.port, *arguments, "postgres"]

    def psql(self, sql, host=None):
        """Over the unix socket, or over TCP with host="127.0.0.1"."""
        return run(self.psql_command("-c", sql, host=host))

    def stop(self):
        if self.process is not None:
            stop(self.process, signal.SIGINT)  # a fast shutdown, which takes the sessions down
