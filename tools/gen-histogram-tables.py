#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write the tables behind the exact bucket index of the histograms.

Usage: gen-histogram-tables.py [OUTPUT_DIRECTORY]

Writes include/sojourn/histogram_tables.h (schema 5: the kernel side and the recorded histograms) and
user/model/hist_schema8.h (the finest schema, from which every coarser one follows) below OUTPUT_DIRECTORY,
by default the root of the source tree.

A bucket of schema S ends at 2^(i/N) seconds, N = 2^S. Scaled to [2^62, 2^63) nanoseconds there are exactly N such
edges, whatever the magnitude of the latency. All arithmetic is on integers of any size, so that the floor of each
edge is the true one.
"""

import math
import pathlib
import sys

SECOND = 10**9


def edges(schema):
    """The N scaled edges floor(SECOND * 2^33 * 2^(k/N)) inside [2^62, 2^63), and the first k."""
    n = 1 << schema
    unit = SECOND << 34  # one binary digit more than the result keeps
    first = 0
    while SECOND**n << (33 * n + first - 1) >= 1 << (62 * n):
        first -= 1
    table = []
    for k in range(first, first + n):
        power = unit**n
        root = power << k if k >= 0 else power >> -k
        for _ in range(schema):
            root = math.isqrt(root)
        table.append(root >> 1)
    assert all(1 << 62 <= edge < 1 << 63 for edge in table), schema
    return table, first


def cells(schema, table):
    """For each of the 2N linear cells of [2^62, 2^63): how many edges lie below its start."""
    width = 1 << (61 - schema)
    starts = [(1 << 62) + cell * width for cell in range(2 << schema)]
    counts = [sum(edge < start for edge in table) for start in starts]
    for this, following in zip(counts, counts[1:] + [len(table)]):
        assert following - this <= 1, "more than one edge in a cell"
    return counts


def rows(values, form, per_line):
    """The values as lines of a C initialiser."""
    texts = [form.format(v) for v in values]
    return "\n".join("    " + " ".join(texts[i : i + per_line]) for i in range(0, len(texts), per_line))


def header(schema, licence, note, pad):
    """One header: the edges, padded to `pad` entries that no latency exceeds, and the cells."""
    table, first = edges(schema)
    low = cells(schema, table)
    name = f"sj_hist_s{schema}"
    table += [(1 << 63) - 1] * (pad - len(table))
    return f"""{licence}
#pragma once

/* Written by tools/gen-histogram-tables.py. {note} */
/* clang-format off */

#define SJ_HIST_S{schema}_KMIN ({first})

/* floor(10^9 * 2^33 * 2^(k/{1 << schema})) for k from SJ_HIST_S{schema}_KMIN on, then padding. */
static const __u64 {name}_edges[{pad}] = {{
{rows(table, "{:#018x}ULL,", 4)}
}};

/* How many edges lie below the start of each of {2 << schema} equal cells of [2^62, 2^63). */
static const __u16 {name}_cells[{2 << schema}] = {{
{rows(low, "{},", 20)}
}};

/* clang-format on */
"""


def main():
    root = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else pathlib.Path(__file__).resolve().parent.parent
    outputs = {
        "include/sojourn/histogram_tables.h": header(
            5, "/* SPDX-License-Identifier: GPL-2.0-or-later */", "Included by sojourn/histogram.h only.", 64
        ),
        "user/model/hist_schema8.h": header(
            8, "// SPDX-License-Identifier: GPL-3.0-or-later", "Included by user/model/hist.c only.", 257
        ),
    }
    for path, text in outputs.items():
        target = root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)


if __name__ == "__main__":
    main()
