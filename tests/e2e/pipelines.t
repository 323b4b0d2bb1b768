#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pipelines deeper and asks longer than what is looked at: counted exactly, or said to be a lower bound. Never more
than there were, and never silently less."""

import sjtest


def measured(depth, padding, *server_options):
    with sjtest.Server("--model", "thread", *server_options) as server:
        with sjtest.Measure("--port", server.port) as m:
            told = sjtest.client(server, "--requests", 3 * depth, "--pipeline", depth, "--path", "/p/" + "a" * padding)
    return told["answered"], m


def exact_or_flagged(t, name, answered, m):
    flagged = bool(m.completeness.get("lower_bound"))
    outside = m.completeness["cut_off"] + m.completeness["lost"]
    for role in ("server", "client"):
        got = m.requests(role=role)
        good = got == answered or (got < answered and (flagged or got + outside >= answered))
        t.ok(good, f"{name}: exact, or told to be less ({role})", sent=answered, got=got, completeness=m.completeness)
    t.diag(f"{name}: {answered} asked, {m.requests(role='server')} as server, {m.requests(role='client')} as client, "
           f"cut off {m.completeness['cut_off']}" + (", a lower bound" if flagged else ""))
    t.all([s for s in m.report["services"] if s["total"]["max"] > 60], f"{name}: no time without sense")


def what_fits_is_exact(t):
    for depth in (2, 7, 50):
        for options in ([], ["--coalesce"]):
            answered, m = measured(depth, 0, *options)
            t.equal((m.requests(role="server"), m.requests(role="client")), (answered, answered),
                    f"{depth} at once{', answered together' if options else ''}", completeness=m.completeness)


def what_does_not_fit_is_told(t):
    for depth, padding in ((100, 0), (1000, 0), (7, 600), (7, 1500), (50, 600)):
        for options in ([], ["--coalesce"]):
            answered, m = measured(depth, padding, *options)
            exact_or_flagged(t, f"{depth} at once of {padding + 80} bytes{', answered together' if options else ''}",
                             answered, m)


sjtest.main(what_fits_is_exact, what_does_not_fit_is_told)
