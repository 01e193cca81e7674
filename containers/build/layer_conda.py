"""Install a user's environment.yml into the prefix of a finished image, with py-rattler.

Runs in the image's Python, with py-rattler on its path. What the prefix has from conda stays as it is; what the image
has from PyPI must not come from conda, too.
"""

import sys
from pathlib import Path

import conda_channels
import rattler
import yaml
from pins import normalise
from rattler.index import index_fs

PREFIX = Path(sys.prefix)
ENVIRONMENT = Path("/build/environment.yml")


def asked(environment: Path) -> tuple[list[str], list[str]]:
    """The channels and the packages of an environment.yml."""
    content = yaml.safe_load(environment.read_text())
    packages = content.get("dependencies", [])
    nested = [p for p in packages if not isinstance(p, str)]
    if nested:
        sys.exit(f"error: environment.yml has {nested[0]}; name what comes from PyPI in REQUIREMENTS")
    return content.get("channels", ["conda-forge"]), packages


async def install(channels: list[str], specs: list[str]) -> None:
    """Solve and install, and print what came."""
    there = [rattler.PrefixRecord.from_path(path) for path in (PREFIX / "conda-meta").glob("*.json")]
    for channel in channels:
        if channel.startswith("file://"):
            await index_fs(Path(channel.removeprefix("file://")))
    records = await rattler.solve(
        channels, specs, locked_packages=there, virtual_packages=rattler.VirtualPackage.detect()
    )
    names = {record.name.normalized for record in there}
    new = [record for record in records if record.name.normalized not in names]
    pinned = dict(line.split("==") for line in (PREFIX / "pins/constraints.txt").read_text().splitlines())
    for record in new:
        if (name := normalise(record.name.normalized)) in pinned:
            sys.exit(f"error: environment.yml brings {name} {record.version}, but this image has {name} {pinned[name]}")
    await rattler.install(
        [*there, *new], target_prefix=PREFIX, cache_dir=Path("/build/conda-cache"), show_progress=False
    )
    for record in new:
        print(f"conda: {record.name.normalized} {record.version} {record.build}")


if __name__ == "__main__":
    channels, packages = asked(ENVIRONMENT)
    conda_channels.run(install(channels, packages), channels)
    conda_channels.end(0)
