"""The columns that docs/columns.md explains."""

import re
from pathlib import Path

PAGE = Path(__file__).parents[1] / "docs/columns.md"


def documented():
    """The names in the first cells of its tables."""
    return re.findall(r"(?m)^\| `([^`]+)` \|", PAGE.read_text())


def undocumented(names):
    """Those that have no row."""
    return sorted(set(names) - set(documented()))
