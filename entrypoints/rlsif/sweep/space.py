"""What a sweep tries: values of a grid, and values drawn from distributions."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from rlsif.errors import InputError, near
from rlsif.learning.kinds import is_number
from rlsif.values import nested, read

# Distributions of Tune by their names, and how many arguments each has; None: any number, one or more.
DISTRIBUTIONS = {"uniform": 2, "loguniform": 2, "randint": 2, "lograndint": 2, "choice": None}
GRID_EXAMPLE, SAMPLE_EXAMPLE, WHOLE_EXAMPLE = "lr=1e-3,3e-4", "gamma=uniform(0.9,0.999)", "num_epochs=randint(1,11)"


@dataclass(frozen=True)
class Dimension:
    """One hyperparameter, by its dotted name, with the values or the bounds of what is tried."""

    name: str
    # "grid", or the name of a distribution.
    kind: str
    arguments: tuple[Any, ...]

    @property
    def values(self) -> bool:
        """Whether it is values that are tried, and not all between bounds."""
        return self.kind in ("grid", "choice")

    def for_tune(self) -> Any:
        """What Ray Tune takes."""
        from ray import tune

        if self.kind == "grid":
            return tune.grid_search(list(self.arguments))
        if self.kind == "choice":
            return tune.choice(list(self.arguments))
        return getattr(tune, self.kind)(*self.arguments)


def dimensions(grid: Iterable[str], sample: Iterable[str]) -> list[Dimension]:
    """Read `lr=1e-3,3e-4` and `gamma=uniform(0.9,0.999)`. Raises InputError."""
    found = [_grid(text) for text in grid] + [_sample(text) for text in sample]
    names = [dimension.name for dimension in found]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"{name!r} is searched twice; give it to --grid or to --sample once")
    if not found:
        raise InputError(f"nothing is searched; give --grid {GRID_EXAMPLE}, or --sample '{SAMPLE_EXAMPLE}', or both")
    return found


def _grid(text: str) -> Dimension:
    name, equals, values = text.partition("=")
    if not equals or not name.strip() or not values.strip():
        raise InputError(f"--grid {text!r} has no values; write it as --grid {GRID_EXAMPLE}")
    found = _values("--grid", text, values)
    for value in found:
        if found.count(value) > 1:
            raise InputError(f"--grid {text!r} has {value!r} twice; the same again with other seeds is --num-samples 2")
    return Dimension(name.strip(), "grid", found)


def _sample(text: str) -> Dimension:
    parts = re.fullmatch(r"\s*([\w./-]+)\s*=\s*(\w+)\((.*)\)\s*", text)
    if not parts:
        raise InputError(f"--sample {text!r} is no distribution; write it as --sample '{SAMPLE_EXAMPLE}'")
    name, kind, inside = parts.groups()
    if kind not in DISTRIBUTIONS:
        hint = near(kind, DISTRIBUTIONS) or f"; there are {', '.join(DISTRIBUTIONS)}"
        raise InputError(f"--sample {text!r}: there is no distribution {kind!r}{hint}")
    arguments = _values("--sample", text, inside) if inside.strip() else ()
    count = DISTRIBUTIONS[kind]
    if count is None:
        if not arguments:
            raise InputError(f"--sample {text!r}: choice needs values, as in {name}=choice(1,2)")
        return Dimension(name, kind, arguments)
    whole = kind.endswith("randint")
    numbers = [a for a in arguments if is_number(a) and (float(a).is_integer() or not whole)]
    if len(numbers) != count or len(arguments) != count or not numbers[0] < numbers[1]:
        needed, example = ("whole number", WHOLE_EXAMPLE) if whole else ("number", SAMPLE_EXAMPLE)
        raise InputError(f"--sample {text!r}: {kind} needs a lower and a higher {needed}, as in {example}")
    if kind.startswith("log") and numbers[0] <= 0:
        raise InputError(f"--sample {text!r}: {kind} has no values at or below 0")
    return Dimension(name, kind, arguments)


def _values(option: str, text: str, values: str) -> tuple[Any, ...]:
    """The values of a list with commas; lists and mappings may be among them."""
    try:
        found = read(f"[{values}]")
    except yaml.YAMLError as problem:
        raise InputError(f"{option} {text!r} has values that are neither numbers, words nor lists") from problem
    return tuple(found)


def examples(searched: Iterable[Dimension]) -> Iterable[dict[str, Any]]:
    """Hyperparameters, nested, in which every value that is named stands once; to be checked."""
    for dimension in searched:
        for value in dimension.arguments:
            yield nested({dimension.name: value})


def drawn_between(searched: Iterable[Dimension]) -> Iterable[dict[str, Any]]:
    """Hyperparameters, nested, with a number that has a fraction, as it may be drawn; to be checked."""
    for dimension in searched:
        if dimension.kind in ("uniform", "loguniform"):
            low, high = dimension.arguments
            yield nested({dimension.name: round(low + (high - low) / math.pi, 6)})


def at(settings: Mapping[str, Any], name: str) -> Any:
    """The value that a dotted name has in nested settings."""
    value: Any = settings
    for part in name.split("."):
        value = value[part]
    return value
