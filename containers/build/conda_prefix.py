"""Solve environment.yml and install it into /opt/rl with py-rattler.

The channel is the one named in /build/channel: a name or URL, or `local`, which is
made here from the package in /build/packages, or from Debian's source of CPython.
"""

import asyncio
import subprocess
from pathlib import Path

import conda_channels
import rattler
import yaml
from rattler.index import index_fs

PREFIX = Path("/opt/rl")
BUILD = Path("/build")


def local_channel() -> str:
    """The address of a channel that holds one package, a CPython."""
    channel = BUILD / "local-channel"
    packages = channel / "linux-64"
    packages.mkdir(parents=True)
    (channel / "noarch").mkdir()
    given = list((BUILD / "packages").glob("python-*.tar.bz2"))
    if given:
        given[0].rename(packages / given[0].name)
    else:
        subprocess.run(["bash", BUILD / "containers/build/python_source.sh", packages], check=True)
    asyncio.run(index_fs(channel))
    return channel.as_uri()


async def install(channel: str, specs: list[str]) -> list[str]:
    """Solve and install, giving `name version build` of each package installed."""
    records = await rattler.solve(
        sources=[channel],
        specs=specs,
        virtual_packages=rattler.VirtualPackage.detect(),
    )
    await rattler.install(
        records,
        target_prefix=PREFIX,
        cache_dir=BUILD / "conda-cache",
        show_progress=False,
    )
    return [f"{r.name.normalized} {r.version} {r.build}" for r in records]


def main() -> None:
    """Install the environment and print what it has."""
    environment = yaml.safe_load((BUILD / "containers/environment.yml").read_text())
    channel = (BUILD / "channel").read_text().strip()
    if channel == "local":
        channel = local_channel()
    for line in conda_channels.run(install(channel, environment["dependencies"]), [channel]):
        print("conda:", line)


if __name__ == "__main__":
    main()
    conda_channels.end(0)
