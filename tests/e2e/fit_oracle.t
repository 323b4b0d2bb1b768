#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fits are those of R's fitdistrplus, on its own data sets and on simulated ones: raw, binned and censored."""

import json
import os
import shlex

import sjtest

SEED = 20221110
PARAMETER = 1e-4  # relative
LOGLIK = 1e-3


def found(output, family):
    """The numbers of one family, its parameters among them; empty when it was not fitted."""
    if family == "tail" or "fits" not in output:
        return output.get(family, {})
    if family == "ranked":
        return {fit["family"]: place for place, fit in enumerate(output["fits"], 1)}
    for fit in output["fits"]:
        if fit["family"] == family:
            return {**fit, **fit["parameters"], **fit.get("chi2", {})}
    return {}


def differences(got, expected):
    for name, value in expected.items():
        if name not in got:
            yield f"{name} is missing"
            continue
        # What hangs on the log-likelihood by an exponential, and is next to nothing, is compared as it is.
        whole = name in ("loglik", "aic", "bic", "weight", "p")
        off = abs(got[name] - value) if whole else abs(got[name] - value) / abs(value)
        if not off <= {"loglik": LOGLIK, "aic": LOGLIK, "bic": LOGLIK}.get(name, PARAMETER):
            yield f"{name} is {got[name]!r}, not {value!r}"


def agrees_with_r(t):
    folder = sjtest.temp("oracle")
    os.mkdir(folder)
    script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "fit_oracle.R")
    told = sjtest.run(["Rscript", script, folder, SEED], timeout=300)
    outputs = {}
    for line in told.splitlines():
        file, options, family, *values = line.split("\t")
        expected = {name: float(value) for name, value in (v.split("=") for v in values)}
        if (file, options) not in outputs:
            command = [sjtest.SOJOURN, "fit", "--json", "--bootstrap", 0, *shlex.split(options), f"{folder}/{file}"]
            outputs[file, options] = json.loads(sjtest.run(command))
        got = found(outputs[file, options], family)
        t.all(differences(got, expected), f"{file} {options}: {family}")
    # So that an oracle which stops half-way is noticed.
    t.at_least(t.number, 160, "all cases were told")


if not sjtest.have("Rscript"):
    sjtest.skip_all("needs Rscript and fitdistrplus")
sjtest.main(agrees_with_r, root=False)
