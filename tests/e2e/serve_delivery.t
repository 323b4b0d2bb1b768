#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the daemon tells webhooks and PagerDuty: each change once, whatever they answer, and over any kill."""

import base64
import os
import signal
import time

import sjdaemon
import sjtest
import sjworld
from sjworld import BOTH, HOST, SUMMARY, Breach, ok, raw, reply

TEMPLATE = """{
  "status": {{ $status }},
  "text": "{{ $name }} is {{$status}} on {{ $host }}: {{ $annotations.summary }} / {{ $annotations.runbook }}",
  "nothing": "{{ $labels.none }}",
  "value": {{ $value }}, "no_data": {{ $no_data }}, "since": {{ $starts_at }}, "until": {{ $ends_at }},
  "labels": {{ $labels }}, "annotations": {{ $annotations }}, "missing": {{ $labels.none }}, "id": {{ $id }}
}
"""

# What each path does with the first, second ... attempt to tell of a change. The last one settles it.
SCRIPTS = {
    "/plain": [reply(202)],
    "/template": [reply(204)],
    "/overload": [reply(429, "slowly", Retry_After="3"), reply(429), ok],
    "/broken": [reply(500, "it stumbled"), reply(503), reply(502), ok],
    "/refuses": [reply(400, "no such field")],
    "/hangs": [sjworld.hang, ok],
    "/closes": [raw(b""), raw(b"HTTP/1.1 20"), ok],
    "/cut": [raw(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf")],
    "/moved": [reply(302, Location="/elsewhere"), reply(307, Location="/elsewhere"), ok],
    "/garbage": [raw(b"\0\xff\x1b[31m no HTTP\r\n\r\n" * 100), raw(b"HTTP/9.9 abc\r\n\r\n"), ok],
    "/head": [sjworld.endless(b"HTTP/1.1 200 OK\r\n", b"X-More: " + b"x" * 8000 + b"\r\n"), ok],
    "/endless": [sjworld.endless(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
                                 b"1000\r\n" + b"x" * 4096 + b"\r\n")],
    "/worse": [sjworld.endless(b"HTTP/1.1 503 Busy\r\n\r\n", b"y" * 65536), ok],
}
PAGERDUTY = {
    "/v2/enqueue": [reply(202, '{"status":"success","message":"Event processed"}')],
    "/overload/v2/enqueue": [reply(429), reply(202)],
    "/broken/v2/enqueue": [reply(500), reply(503), reply(202)],
    "/refuses/v2/enqueue": [reply(400, '{"status":"invalid event","errors":["no such key"]}')],
    "/hangs/v2/enqueue": [sjworld.hang, reply(202)],
    "/closes/v2/enqueue": [raw(b""), raw(b"HTTP/1.1 20"), reply(202)],
}


def secret_file(text):
    path = sjtest.temp("secret")
    with open(path, "w", encoding="utf-8", opener=lambda p, flags: os.open(p, flags, 0o600)) as file:
        file.write(text + "\n")
    return path


def webhooks(world, template):
    lines = [f"  - webhook: {{name: {path[1:]}, url: \"{world.url}{path}\", timeout: 1s"
             + (f", template_file: {template}" if path == "/template" else "") + "}\n" for path in SCRIPTS]
    return "".join(lines)


def pagerduties(world, key):
    lines = []
    for i, path in enumerate(PAGERDUTY):
        limit = ", timeout: 1s" if path.startswith("/hangs") else ""
        url = world.url + path.removesuffix("/v2/enqueue")
        lines.append(f"  - pagerduty: {{name: pd{i}, routing_key_file: {key}, url: \"{url}\"{limit}}}\n")
    return "".join(lines)


def the_documents(t, world):
    first, last = world.of("/plain")
    labels = {"alertname": "busy", "service": "nginx", "role": "server", "protocol": "http", "severity": "critical",
              "instance": HOST, "port": first.json["commonLabels"]["port"]}
    annotations = {"summary": SUMMARY, "runbook": "line 1\nline 2"}
    doc, end = first.json, last.json
    t.equal((doc["version"], doc["status"], doc["commonLabels"], doc["commonAnnotations"], len(doc["alerts"])),
            ("4", "firing", labels, annotations, 1), "a webhook gets Alertmanager's document, with labels and annotations")
    a, e = doc["alerts"][0], end["alerts"][0]
    t.equal((a["endsAt"], e["startsAt"], e["endsAt"] > a["startsAt"], a["fingerprint"], end["groupKey"]),
            ("0001-01-01T00:00:00Z", a["startsAt"], True, e["fingerprint"], doc["groupKey"]),
            "the resolve is about the same alert, which has an end then")
    t.equal((first.headers["content-type"], first.headers["host"]), ("application/json", world.url[7:]), "sent as JSON")
    first, last = (r.json for r in world.of("/template"))
    text = f"busy is {{}} on {HOST}: {SUMMARY} / line 1\nline 2"
    t.equal((first["text"], last["text"], first["nothing"]), (text.format("firing"), text.format("resolved"), ""),
            "a template's places are filled in and quoted")
    t.equal((first["labels"], first["annotations"], first["missing"], first["no_data"], first["since"], first["id"]),
            (labels, annotations, None, False, a["startsAt"], a["fingerprint"]), "also where they stand for values")
    t.ok(first["value"] > 20 and first["until"] is None and last["until"] == e["endsAt"],
         "and an end only when there is one", first=first, last=last)
    pd, pd_end = (r.json for r in world.of("/v2/enqueue"))
    value = pd["payload"]["custom_details"].pop("value")
    t.equal(pd, {"routing_key": world.key, "event_action": "trigger", "dedup_key": f"sojourn/{HOST}/{a['fingerprint']}",
                 "client": "sojourn",
                 "payload": {"summary": SUMMARY, "source": HOST, "severity": "critical", "timestamp": a["startsAt"],
                             "component": "nginx", "class": "busy",
                             "custom_details": {"labels": labels, "annotations": annotations}}},
            "PagerDuty gets an event of its API's version 2")
    t.ok(value > 20, "with the value", got=value)
    t.equal(pd_end, {"routing_key": world.key, "event_action": "resolve", "dedup_key": pd["dedup_key"]},
            "and a resolve with the same key")


def the_answers(t, world, d):
    for path, states in world.expected().items():
        t.equal(world.states(path), states, f"{path}: as many attempts as each change needs, {len(states)} together")
    t.equal(world.of("/elsewhere"), [], "nobody is sent elsewhere")
    pauses = [b.began - a.began for a, b in zip(world.of("/overload"), world.of("/overload")[1:])]
    t.ok(pauses[0] >= 3 and pauses[3] >= 3, "who asks for 3 s of peace gets them", pauses=pauses)
    t.ok(world.of("/plain")[0].ended < world.of("/hangs")[0].ended, "nobody waits for one that hangs")
    for path in ("/endless", "/head", "/worse"):
        t.at_most(max(r.sent for r in world.of(path)), sjworld.SENT_AT_MOST // 4, f"{path}: only its beginning is taken")
    for name, why in {"refuses": "it answered 400: no such field", "pd3": "it answered 400: "}.items():
        said = [len(d.said(f"{name} (", why, "that alert busy (id ", f"is {state} is not told again")) for state in BOTH]
        t.equal(said, [1, 1], f"{name}: what is refused for good is said to be", said=d.process.err())
    for name, why in {"overload": "it answered 429: slowly", "broken": "it answered 500: it stumbled",
                      "closes": "it closed the connection without an answer", "moved": "it answered 302",
                      "worse": "it answered 503: yyyy", "hangs": "no answer in time", "pd4": "no answer in time",
                      "pd5": "it closed the connection without an answer"}.items():
        t.at_least(len(d.said(f"{name} (http://", why, "it is tried again")), 1, f"{name}: it is told why it is tried again",
                   said=d.process.err())
    t.ok("\x1b" not in d.process.err() and "\0" not in d.process.err(), "what they answer does nothing to a terminal")
    for kind, scripts in {"webhook": SCRIPTS, "pagerduty": PAGERDUTY}.items():
        refused = sum(path.startswith("/refuses") for path in scripts)
        again = sum(len(script) - 1 for script in scripts.values())
        told = {result: d.metric("sojourn_notifications_total", notifier=kind, result=result)
                for result in ("delivered", "failed", "dropped")}
        t.equal((told, d.metric("sojourn_notifications_waiting", notifier=kind)),
                ({"delivered": 2 * (len(scripts) - refused), "failed": 2 * again, "dropped": 2 * refused}, 0),
                f"/metrics tells how it went, of {kind}")


def answers_of_all_kinds(t):
    key = "0123456789abcdef0123456789abcdef"
    template = sjtest.temp("hook.json")
    with open(template, "w", encoding="utf-8") as file:
        file.write(TEMPLATE)
    with Breach() as breach, sjworld.World({**SCRIPTS, **PAGERDUTY}) as world:
        world.key = key
        with sjdaemon.Daemon(breach.rule + webhooks(world, template) + pagerduties(world, secret_file(key))) as d:
            for state in BOTH:
                world.await_told(state)
                breach.over()
            time.sleep(1.5)  # in which the disk learns of it, and what is sent twice would come
            the_documents(t, world)
            the_answers(t, world, d)


WITH_SECRETS = """
  - webhook: {{name: bearer, url: "{url}/bearer", bearer_token_file: {bearer}, headers: {{X-Team: blue}}}}
  - webhook: {{name: basic, url: "{url}/basic", username: me, password_file: {password}}}
  - webhook: {{name: hidden, url_file: {place}}}
  - pagerduty: {{url: "{url}", routing_key_file: {key}}}
  - pagerduty: {{name: open, url: "{url}/open", routing_key_file: {key}}}
""".lstrip("\n")


def seen_from_outside(d):
    """All that the daemon shows of itself: where -> text."""
    _, out, err = sjdaemon.status_of(["serve", "--check-config", d.path])
    seen = {"stderr": d.process.err(), "/metrics": d.get("/metrics")[1], "/api/v1/report": d.get("/api/v1/report")[1],
            "--check-config": out + err}
    paths = [f"/proc/{pid}/{name}" for pid in (d.process.pid, d.courier) for name in ("cmdline", "environ")]
    for path in paths + [f"{d.state}/{name}" for name in os.listdir(d.state)]:
        with open(path, encoding="utf-8", errors="replace") as file:
            seen[os.path.basename(path) if path.startswith(d.state) else path] = file.read()
    return seen


def secrets_stay_secret(t):
    secrets = {name: f"{name}-{os.urandom(12).hex()}" for name in ("bearer", "password", "path")}
    secrets["key"] = os.urandom(16).hex()
    pair = base64.b64encode(f"me:{secrets['password']}".encode()).decode()
    hidden = f"/services/{secrets['path']}"

    def repeat(request):
        """All that it knows, as careless servers do."""
        sent = request.headers.get("authorization", "")
        said = base64.b64decode(sent.removeprefix("Basic ")).decode() if sent.startswith("Basic ") else ""
        return f"{request.path} {sent} {said} {request.body.decode()}"

    scripts = {"/bearer": [reply(401, repeat), ok], "/basic": [reply(403, repeat), ok], hidden: [reply(503, repeat), ok],
               "/v2/enqueue": [reply(429, lambda r: r.json["routing_key"] + " is in a hurry"), reply(202)],
               "/open/v2/enqueue": [reply(400, lambda r: "unknown key " + r.json["routing_key"])]}
    with Breach() as breach, sjworld.World(scripts) as world:
        files = {name: secret_file(text) for name, text in secrets.items()}
        files["place"] = secret_file(world.url + hidden)
        with sjdaemon.Daemon(breach.rule + WITH_SECRETS.format(url=world.url, **files)) as d:
            for state in BOTH:
                world.await_told(state)
                breach.over()
            time.sleep(1.2)
            t.equal({path: world.states(path) for path in scripts}, world.expected(), "each is told of both changes")
            first = {path: world.of(path)[0].headers for path in scripts}
            t.equal((first["/bearer"]["authorization"], first["/basic"]["authorization"], first["/bearer"]["x-team"]),
                    (f"Bearer {secrets['bearer']}", f"Basic {pair}", "blue"), "the secrets are sent where they belong")
            seen = seen_from_outside(d)
            t.equal(seen["--check-config"], d.path + ": ok\n", "the configuration is right")
            t.ok({"watch.state", "deliveries.state"} <= set(seen), "there is a state to look into", got=sorted(seen))
            t.all([f"{where}: {secret} in {text!r}" for where, text in seen.items()
                   for secret in (*secrets.values(), pair) if secret[:20] in text], "no secret is seen anywhere")
            answers = {"bearer": 401, "basic": 403, "hidden": 503, "pagerduty": 429, "open": 400}
            t.equal([len(d.said(f"{name} (", f"it answered {status}: ")) for name, status in answers.items()], 5 * [2],
                    "what they answered is told all the same", said=d.process.err())
            os.unlink(files["bearer"])
            breach.begin()
            sjtest.await_true(lambda: d.said("bearer (", files["bearer"]), "a secret that is gone is told of")
            breach.over()


def a_kill_loses_nothing(t):
    port = sjtest.free_port()
    receivers = ("  - webhook: {{name: near, url: \"{url}/near\"}}\n"
                 "  - webhook: {{name: far, url: \"http://127.0.0.1:{port}/far\"}}\n")

    def kill(d):
        os.kill(d.courier, signal.SIGKILL)
        sjtest.stop(d.process, signal.SIGKILL)
        sjtest.await_true(lambda: sjdaemon.gone(d.courier), "the end of both processes")

    with Breach() as breach, sjworld.World({"/near": [ok]}) as near:
        with sjdaemon.Daemon(breach.lasting_rule + receivers.format(url=near.url, port=port)) as d:
            sjtest.await_true(lambda: near.states("/near"), "the alert")
            sjtest.await_true(lambda: d.said("far (", "it cannot be connected to: Connection refused"), "that one is away")
            time.sleep(4)  # until it is saved, also where the disk stalls
            kill(d)
            with sjworld.World({"/far": [ok]}, port=port) as far:
                d.start()
                sjtest.await_true(lambda: far.states("/far"), "what had not been delivered")
                time.sleep(1.5)
                t.equal((near.states("/near"), far.states("/far")), (["firing"], ["firing"]),
                        "after a kill who was not there is told, and who had been told is not told again")
                t.equal(far.of("/far")[0].json["groupKey"], near.of("/near")[0].json["groupKey"], "of the same alert")
            breach.over()
            sjtest.await_true(lambda: len(near.states("/near")) == 2, "the resolve")
            t.equal(near.states("/near"), BOTH, "one that is away delays no other")
            time.sleep(4)  # until it is saved, also where the disk stalls
            kill(d)
            with sjworld.World({"/far": [ok]}, port=port) as far:
                d.start()
                sjtest.await_true(lambda: far.states("/far"), "the resolve after a kill")
                time.sleep(1.5)
                t.equal((near.states("/near"), far.states("/far")), (BOTH, ["resolved"]),
                        "a resolve survives a kill too, and is told once")


sjtest.main(answers_of_all_kinds, secrets_stay_secret, a_kill_loses_nothing)
