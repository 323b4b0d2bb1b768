# SPDX-License-Identifier: GPL-3.0-or-later
"""Debian's Prometheus as a context, and what is in deploy/ for it. Tests import sjtest beside it."""

import http.server
import json
import os
import re
import urllib.error
import urllib.parse
import urllib.request

import sjdaemon
import sjtest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
DEPLOY = os.path.join(ROOT, "deploy")
RULES = os.path.join(DEPLOY, "prometheus-rules.yml")
DASHBOARD = os.path.join(DEPLOY, "grafana-dashboard.json")
TEXT = "text/plain;version=0.0.4"


class Prometheus(sjtest.Service):
    """A server of its own that scrapes the targets (job -> port of 127.0.0.1) each second."""

    def __init__(self, targets, native=True, rules=()):
        self.port = sjtest.free_port()
        self.native = native
        self.folder = sjtest.temp("prometheus")
        os.mkdir(self.folder)
        jobs = "".join(f"  - job_name: {job}\n    static_configs: [{{targets: ['127.0.0.1:{port}']}}]\n"
                       for job, port in targets.items())
        with open(self.folder + "/prometheus.yml", "w", encoding="utf-8") as file:
            file.write("global: {scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 3s}\n"
                       f"rule_files: {json.dumps(list(rules))}\nscrape_configs:\n{jobs}")

    def start(self):
        program = sjtest.have("prometheus")
        if not program:
            raise sjtest.Failed("prometheus is not installed")
        self.process = sjtest.Process(
            [program, f"--config.file={self.folder}/prometheus.yml", f"--storage.tsdb.path={self.folder}/data",
             f"--web.listen-address=127.0.0.1:{self.port}", "--log.level=warn",
             *(["--enable-feature=native-histograms"] if self.native else [])])
        sjtest.await_true(self.ready, "prometheus answers", process=self.process)

    def ready(self):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/-/ready", timeout=10) as answer:
                return answer.status == 200
        except OSError:
            return False

    def ask(self, path, **parameters):
        data = urllib.parse.urlencode(parameters).encode() if parameters else None
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/api/v1/{path}", data, timeout=20) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            raise sjtest.Failed(f"{path} {parameters}: {error.read().decode()}") from None

    def query(self, expression, **more):
        """The series that it gives: a list of (labels, value), of strings and a number."""
        result = self.ask("query", query=expression, **more)["result"]
        return [(series["metric"], float(series["value"][1]) if "value" in series else series["histogram"][1])
                for series in result]

    def number(self, expression):
        """The value of the only series; None when there is none."""
        found = self.query(expression)
        if len(found) > 1:
            raise sjtest.Failed(f"{expression} gives {len(found)} series")
        return found[0][1] if found else None

    def value(self, expression):
        """The same, but there is one sooner or later: after a scrape that took too long there is none until the next."""
        return sjtest.await_true(lambda: (found := self.number(expression)) is not None and [found], expression)[0]


class OnlyText(sjdaemon.Http):
    """Hands a daemon's metrics on as the classic text, whatever is asked for."""

    def __init__(self, daemon):
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                body, kind = scrape(daemon.port, TEXT)
                self.send_response(200)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        super().__init__(Handler)


def scrape(port, accept):
    """The metrics of a daemon and their type."""
    request = urllib.request.Request(f"http://127.0.0.1:{port}/metrics", headers={"Accept": accept})
    with urllib.request.urlopen(request, timeout=20) as answer:
        return answer.read(), answer.headers["Content-Type"]


# ---- what is in deploy/ ---------------------------------------------------------------------------------------------


def dashboard_queries(values):
    """(title, expression) of all panels, annotations and variables, with the variables' values filled in."""
    with open(DASHBOARD, encoding="utf-8") as file:
        dashboard = json.load(file)
    found = [(panel["title"], target["expr"]) for panel in panels(dashboard) for target in panel.get("targets", [])]
    found += [(a["name"], a["expr"]) for a in dashboard["annotations"]["list"] if "expr" in a]
    for variable in dashboard["templating"]["list"]:
        if variable["type"] == "query":
            series, label = re.fullmatch(r"label_values\((.*), (\w+)\)", variable["query"]["query"]).groups()
            found.append(("variable " + variable["name"], f"count by ({label}) ({series})"))
    return [(title, fill(expression, values)) for title, expression in found]


def panels(dashboard):
    for panel in dashboard["panels"]:
        yield panel
        yield from panel.get("panels", [])


def fill(expression, values):
    filled = re.sub(r"\$\{?(\w+)\}?", lambda m: values[m[1]], expression)
    if "$" in filled:
        raise sjtest.Failed(f"{filled}: a variable is left")
    return filled


def selectors(expression):
    """The instant selectors in a PromQL expression: names that are no functions or keywords, with their matchers."""
    return re.findall(r'\b((?:sojourn[\w:]*|up)(?:\{[^}]*\})?)', expression)
