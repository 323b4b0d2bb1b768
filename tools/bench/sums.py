# SPDX-License-Identifier: GPL-3.0-or-later
"""Medians, their intervals, and tables."""

import math


def median(values):
    values = sorted(values)
    middle = len(values) // 2
    return values[middle] if len(values) % 2 else (values[middle - 1] + values[middle]) / 2


def quartiles(values):
    """The medians of the lower and of the upper half, the middle one in neither."""
    values = sorted(values)
    half = len(values) // 2
    return (median(values[:half]), median(values[-half:])) if half else (values[0], values[0])


def median_interval(values, confidence=0.95):
    """Order statistics between which the true median lies with at least this confidence; None for too few values.

    The number of values below the true median is binomial(n, 1/2), whatever their distribution.
    """
    values = sorted(values)
    n = len(values)
    low, below = 0, 1
    while below <= (1 - confidence) / 2 * 2**n:
        low += 1
        below += math.comb(n, low)
    return (values[low - 1], values[n - low]) if low else None


def table(rows, indent="  "):
    """Lines of a table: first column to the left, the others to the right; the first row is the head."""
    widths = [max(len(row[i]) for row in rows if i < len(row)) for i in range(max(map(len, rows)))]
    for row in rows:
        cells = [cell.rjust(width) if i else cell.ljust(width) for i, (cell, width) in enumerate(zip(row, widths))]
        yield (indent + "  ".join(cells)).rstrip()


def markdown(rows):
    """Lines of the same as a table of Markdown."""
    columns = max(map(len, rows))
    for number, row in enumerate(rows):
        yield "| " + " | ".join([*row, *[""] * (columns - len(row))]) + " |"
        if number == 0:
            yield "|---|" + "---:|" * (columns - 1)
