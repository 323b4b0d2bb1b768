#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""`sojourn fit` from the outside: what it reads, what it writes, what it refuses, and how much memory that takes."""

import gzip
import json
import math
import os
import random
import subprocess
import threading

import sjtest


def fit(*arguments, text="", status=0):
    """Runs `sojourn fit` over text; returns its output and what it said."""
    data = text if isinstance(text, bytes) else text.encode()
    done = subprocess.run([sjtest.SOJOURN, "fit", *map(str, arguments)], input=data, capture_output=True, timeout=120,
                          check=False)
    told = done.stderr.decode(errors="replace")
    if done.returncode != status:
        raise sjtest.Failed(f"fit {arguments} ended with {done.returncode}, not {status}: {told}")
    return done.stdout.decode(), told


def fit_json(*arguments, text=""):
    def never(word):
        raise sjtest.Failed(f"{word} is no JSON")

    output = json.loads(fit("--json", *arguments, text=text)[0], parse_constant=never)
    if "null" in json.dumps(output):
        raise sjtest.Failed("a key is null instead of absent")
    return output


def lines(values):
    return "".join(f"{v!r}\n" for v in values)


def lognormal(n, seed=1):
    r = random.Random(seed)
    return [r.lognormvariate(-4, 0.6) for _ in range(n)]


def shape(t):
    """The JSON that scripts rely on."""
    output = fit_json("--timeout", "50ms", "--workers", 8, text=lines(lognormal(2000)))
    t.equal(output["schema"], "sojourn.fit/1", "its schema is named")
    t.equal((output["n"], output["censored"]), (2000, 0), "values are counted")
    t.ok("schema_binned" not in output, "values that are not binned have no schema")
    best = output["fits"][0]
    t.equal((output["best"], best["family"]), ("lognormal", "lognormal"), "the right family is first")
    wanted = {"parameters", "loglik", "aic", "bic", "ks", "ad", "chi2", "max_quantile_error", "weight", "quantiles",
              "restricted_mean"}
    t.all([f["family"] for f in output["fits"] if not wanted <= f.keys()], "every fit has all its keys")
    t.equal(len(output["fits"]), 9, "all families but those by request")
    t.near(sum(f["weight"] for f in output["fits"]), 1, 0, 1e-6, "the weights sum to 1")
    t.all([f["family"] for f in output["fits"] if abs(f["aic"] - 2 * len(f["parameters"]) + 2 * f["loglik"]) > 1e-6],
          "AIC counts the parameters")
    t.all([f["family"] for f in output["fits"]
           if abs(f["bic"] - len(f["parameters"]) * math.log(2000) + 2 * f["loglik"]) > 1e-6],
          "BIC counts the parameters, a shift and a scale among them")
    ranked = [f["bic"] for f in output["fits"] if f.get("identified", True)]
    t.equal(ranked, sorted(ranked), "they are ranked by BIC")
    t.near(best["capacity"], 8 / best["restricted_mean"], 1e-6, 0, "capacity is workers over the time held")
    t.near(output["throughput"]["restricted_mean"], best["restricted_mean"], 0.02, 0, "the data hold a worker as long")
    low, high = best["p999_ci"]
    t.ok(low < best["quantiles"]["p999"] < high, "p99.9 lies in its interval")
    t.ok({"threshold", "exceedances", "xi", "beta", "p99", "p999"} <= output["tail"].keys(), "the tail has its keys")
    t.equal(fit_json(text=lines(lognormal(2000))), fit_json(text=lines(lognormal(2000))), "twice is the same")


def options(t):
    text = lines(lognormal(3000))
    output = fit_json("--families", "gamma,normal_mixture,weibull", text=text)
    t.equal(sorted(f["family"] for f in output["fits"]), ["gamma", "normal_mixture", "weibull"], "families are chosen")
    t.equal(sorted(next(f for f in output["fits"] if f["family"] == "normal_mixture")["parameters"]),
            ["mean1", "mean2", "sd1", "sd2", "weight1"], "parameters have their names")
    for schema in 0, 5, 8:
        output = fit_json("--schema", schema, text=text)
        t.equal(output["schema_binned"], schema, f"schema {schema} is told")
        t.near(output["fits"][0]["parameters"]["meanlog"], -4, 0.02, 0, f"schema {schema} finds the mean")
    tails = [fit_json("--families", "exponential", "--threshold", u, text=text)["tail"] for u in ("0.03", "30ms")]
    t.equal(tails[0], tails[1], "a threshold is bare seconds or a duration")
    t.equal(tails[0]["threshold"], 0.03, "it is the one that was asked for")
    t.equal(tails[0]["exceedances"], sum(v > 0.03 for v in lognormal(3000)), "what lies above it is counted")
    held = [fit_json("--families", "exponential", "--timeout", u, text=text)["fits"][0] for u in ("0.02", "20ms")]
    rate = held[0]["parameters"]["rate"]
    t.equal(held[0], held[1], "a timeout is bare seconds or a duration")
    t.near(held[0]["restricted_mean"], (1 - math.exp(-rate * 0.02)) / rate, 1e-6, 0, "T(t) has its formula")
    output = fit_json("--workers", 4, text=text)
    t.near(output["fits"][0]["capacity"], 4 / (math.exp(-4 + 0.18)), 0.05, 0, "without a timeout the mean is held")
    plot, _ = fit("--plot", text=text)
    t.ok(plot.count("#") + plot.count("\u2588") > 200, "--plot draws")


def censored(t):
    values = lognormal(3000)
    text = "".join(f"{min(v, 0.03)!r}{'+' if v > 0.03 else ''}\n" for v in values)
    output = fit_json(text=text)
    t.equal(output["censored"], sum(v > 0.03 for v in values), "censored values are counted")
    t.all([f["family"] for f in output["fits"] if f.keys() & {"ks", "ad", "chi2"}], "distances are absent, not wrong")
    t.equal(output["best"], "lognormal", "the right family is first")
    t.near(output["fits"][0]["parameters"]["sdlog"], 0.6, 0.1, 0, "censoring does not bias it")


def kinds_of_input(t):
    values = lognormal(500)
    plain = fit_json(text=lines(values))
    rows = "".join(json.dumps({"service": "a", "total": round(v, 9)}) + "\n" for v in values)
    t.near(fit_json(text=rows)["fits"][0]["loglik"], plain["fits"][0]["loglik"], 0, 0.01, "the lines of trace --json")
    t.equal(fit_json(text=gzip.compress(lines(values).encode())), plain, "gzipped numbers")
    path = sjtest.temp("numbers")
    with open(path, "w", encoding="utf-8") as file:
        file.write(lines(values))
    t.equal(fit_json(path), plain, "a file")
    t.equal(fit_json("-", text=lines(values)), plain, "standard input by name")
    t.equal(fit_json(text=lines(values).replace("\n", "\r\n")), plain, "lines as another system ends them")


def refused(t):
    cases = [
        ("empty", "", 1), ("one value", "5\n", 1), ("all equal", "3\n3\n3\n", 3), ("negative", "1\n2\n-1\n", 3),
        ("NaN", "1\nNaN\n2\n", 2), ("infinite", "inf\n", 1), ("minus infinite", "1\n-inf\n", 2),
        ("1e308", "1\n1e308\n", 2), ("beyond a double", "1\n2\n1e999\n", 3), ("a denormal", "1e-310\n1\n", 1),
        ("text", "1\nhello\n", 2), ("two numbers", "1\n2 3\n", 2), ("all zero", "0\n0\n", 2),
        ("all censored", "1+\n2+\n", 2), ("a lone sign", "1\n+\n", 2), ("binary", b"\x7fELF\x02\x01\x00\n", 1),
        ("JSON without total", '{"total":1}\n{"a":1}\n', 2), ("a comma", "0,5\n", 1),
    ]
    for name, text, line in cases:
        output, told = fit("--json", text=text, status=65)
        good = told.startswith("sojourn: standard input: line ") and f"line {line}: " in told and told.count("\n") == 1
        t.ok(good and not output, f"{name}: one clear line with its number", told=told)
    t.ok(fit(text=b"1" * 300000, status=65)[1].count("\n") == 1, "a line without end")
    t.ok("No such file" in fit("/nonexistent", status=66)[1], "no such file")
    for arguments in (["--schema", "9"], ["--schema", "x"], ["--families", "cauchy"], ["--threshold", "-1"],
                      ["--timeout", "0"], ["--timeout", "5x"], ["--workers", "0"], ["--what"], ["--schema"], ["a", "b"],
                      ["--counts", "--plot"], ["--bootstrap", "-1"], ["--json", "--plot"]):
        t.ok(fit(*arguments, text="1\n2\n", status=64)[1].count("\n") == 1, f"usage: {' '.join(arguments)}")
    t.equal(fit_json(text="0\n1\n2\n4\n")["n"], 4, "a value of 0 is a value")
    output = fit_json(text="0\n1\n2\n4\n")
    t.ok("lognormal" in {s["family"] for s in output["skipped"]}, "and families without one at 0 say why they are not")


def few_and_ties(t):
    for n in range(2, 11):
        output = fit_json(text=lines(lognormal(n)))
        t.ok(output["n"] == n and all(math.isfinite(f["loglik"]) for f in output["fits"]), f"{n} values are fitted",
             told=output)
    ties = fit_json("--bootstrap", 0, text="1\n2\n" * 1_500_000)
    t.equal((ties["n"], ties.get("schema_binned")), (3_000_000, 8), "millions of equal values are counted in bins")
    t.equal([f["family"] for f in ties["fits"]], ["exponential"], "two bins tell one parameter")
    t.near(ties["fits"][0]["parameters"]["rate"], 1 / 1.5, 0.003, 0, "that one is right")
    t.ok({"normal", "gamma"} <= {s["family"] for s in ties["skipped"]}, "the others say that there are too few")
    exact = fit_json("--bootstrap", 0, "--families", "normal", text="1\n2\n" * 1000)["fits"][0]["parameters"]
    t.near(exact["sd"], 0.5, 1e-6, 0, "equal values have their weight")


def counts(t):
    kicks = "0\n" * 109 + "1\n" * 65 + "2\n" * 22 + "3\n" * 3 + "4\n"
    output = fit_json("--counts", text=kicks)
    t.equal((output["schema"], output["n"], output["best"]), ("sojourn.counts/1", 200, "poisson"), "horse kicks")
    t.near(output["poisson"]["rate"], 0.61, 1e-9, 0, "their rate")
    t.near(output["dispersion"], 0.610955 / 0.61, 1e-5, 0, "their dispersion")
    r = random.Random(4)
    bursts = [str(int(r.gammavariate(1.5, 20))) for _ in range(400)]
    output = fit_json("--counts", text="\n".join(bursts))
    t.equal(output["best"], "negative_binomial", "bursts")
    t.near(output["negative_binomial"]["mean"], output["poisson"]["rate"], 1e-9, 0, "both have one mean")
    t.ok("line 2" in fit("--counts", text="1\n1.5\n", status=65)[1], "half an event is refused")


def feed(process, block, size):
    try:
        for _ in range(size // len(block)):
            process.stdin.write(block)
        process.stdin.close()
    except BrokenPipeError:
        pass


def a_stream(t):
    """256 MB of numbers through a pipe: memory does not grow with them."""
    values = lognormal(100000)
    block = "".join(f"{v:.9f}\n" for v in values).encode()
    with subprocess.Popen([sjtest.SOJOURN, "fit", "--json"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE) as process:
        thread = threading.Thread(target=feed, args=(process, block, 256_000_000))
        thread.start()
        output, told = process.stdout.read(), process.stderr.read().decode()
        thread.join()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    output = json.loads(output)
    t.equal(process.returncode, 0, "it ends well")
    t.equal(output["n"], 256_000_000 // len(block) * 100000, "every value counts")
    t.equal(output.get("schema_binned"), 8, "it says that it binned them")
    t.ok("1000000" in told and "schema 8" in told, "in words too", told=told)
    t.equal(output["best"], "lognormal", "the right family is first")
    t.near(output["fits"][0]["parameters"]["sdlog"], 0.6, 0.01, 0, "its parameter is found")
    t.at_most(usage.ru_maxrss, 64 * 1024, "memory in KiB is bounded")


def a_closed_pipe(t):
    command = f"'{sjtest.SOJOURN}' fit --json | head -c 10; echo ${{PIPESTATUS[0]}} >&2"
    done = subprocess.run(["bash", "-c", command], input=lines(lognormal(300)).encode(), capture_output=True, check=False)
    t.ok(done.stderr.decode().strip() in ("0", ""), "a reader that goes away is no error", told=done.stderr.decode())


sjtest.main(shape, options, censored, kinds_of_input, refused, few_and_ties, counts, a_stream, a_closed_pipe,
            root=False)
