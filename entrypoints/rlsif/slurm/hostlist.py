"""Names of nodes, and numbers of CPUs, out of the short forms that Slurm writes lists in."""

from __future__ import annotations

import re


def names(short: str) -> list[str]:
    """The names in a list such as n[1-3,07-08],x or r[0-1]n[1-2], as `scontrol show hostnames` gives them."""
    return [name for part in re.findall(r"(?:\[[^\]]*\]|[^,\[])+", short) for name in _expanded(part)]


def _expanded(part: str) -> list[str]:
    before, bracket, rest = part.partition("[")
    if not bracket:
        return [part]
    inside, _, after = rest.partition("]")
    ends = _expanded(after)
    return [f"{before}{number}{end}" for span in inside.split(",") for number in _span(span) for end in ends]


def _span(span: str) -> list[str]:
    """The numbers of 3, or of 08-11, with their zeros."""
    first, _, last = span.partition("-")
    return [str(number).zfill(len(first)) for number in range(int(first), int(last or first) + 1)]


def counts(short: str) -> list[int]:
    """A number for each node, from a list such as 8(x2),16."""
    pairs = re.findall(r"(\d+)(?:\(x(\d+)\))?", short)
    return [int(number) for number, times in pairs for _ in range(int(times or 1))]
