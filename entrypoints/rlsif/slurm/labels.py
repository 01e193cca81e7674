"""Whether the processes of two images understand each other, by the images' labels."""

from __future__ import annotations

from collections.abc import Mapping

from rlsif.errors import InputError

PREFIX = "rlsif."
# Python, Ray and TensorFlow, and the digest of the packages that all images share.
ALIKE = ("version.python", "version.ray", "version.tensorflow", "shared")


def labels(said: str) -> Mapping[str, str]:
    """The project's labels, as `apptainer inspect --labels` prints them."""
    pairs = (line.partition(": ") for line in said.splitlines() if line.startswith(PREFIX))
    return {name[len(PREFIX) :]: value for name, _, value in pairs}


def check_alike(first: str, of_first: str, second: str, of_second: str) -> None:
    """Refuse two images, of these names and labels, that cannot be in one job. Raises InputError."""
    one, other = labels(of_first), labels(of_second)
    for name in ALIKE:
        if one.get(name) != other.get(name):
            raise InputError(
                f"{first} has {name} {one.get(name, 'unknown')} and {second} has {other.get(name, 'unknown')};"
                " build both from one checkout with `make images`"
            )
