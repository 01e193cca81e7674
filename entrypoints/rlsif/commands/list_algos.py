"""`train --list-algos`."""

from __future__ import annotations


def print_algorithms() -> None:
    """Print a table: algorithm, frameworks, action spaces, how it samples and learns at its fastest, a word on it."""
    from rich.console import Console
    from rich.table import Table

    from rlsif.learning.catalogue import catalogue

    table = Table(box=None, header_style="bold")
    for heading in ("algorithm", "--framework", "action spaces", "sampled by", "updates", ""):
        table.add_column(heading)
    for algorithm in catalogue().values():
        table.add_row(
            algorithm.name,
            ", ".join(algorithm.frameworks),
            ", ".join(algorithm.action_spaces),
            "-" if algorithm.offline else "NumPy" if algorithm.sampler else "RLlib",
            "many in a call" if algorithm.compiled else "one a call",
            algorithm.note,
        )
    Console(width=140).print(table)
