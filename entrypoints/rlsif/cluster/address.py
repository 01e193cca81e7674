"""The address of this node that the other nodes of the job can reach."""

from __future__ import annotations

import fcntl
import socket
import struct
import time

from rlsif.cluster.job import POLL
from rlsif.errors import InputError

SIOCGIFADDR = 0x8915


def of_interface(name: str) -> str:
    """The IPv4 address of a network interface, as ib0. Raises InputError where it has none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            answer = fcntl.ioctl(probe, SIOCGIFADDR, struct.pack("256s", name.encode()[:15]))
        except OSError as problem:
            known = ", ".join(interface for _, interface in socket.if_nameindex())
            raise InputError(
                f"RL_INTERFACE is {name!r}, which has no IPv4 address here; there are {known}"
            ) from problem
    return socket.inet_ntoa(answer[20:24])


def towards(host: str) -> str:
    """The IPv4 address from which this node reaches another. Nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect((host, 9))
        return str(probe.getsockname()[0])


def answers(place: str, seconds: float) -> bool:
    """Whether something listens at address:port of another node, which is asked for so long."""
    host, _, port = place.rpartition(":")
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            socket.create_connection((host, int(port)), timeout=max(0.1, deadline - time.monotonic())).close()
            return True
        except OSError:
            time.sleep(POLL)
    return False


def own(interface: str, peers: list[str]) -> str:
    """The address on the interface where one is named, else the one towards a peer, else the host name's.

    A host name may stand for 127.0.1.1, for IPv6 first, or for a network that compute nodes don't share.
    """
    if interface:
        return of_interface(interface)
    for peer in peers:
        try:
            return towards(peer)
        except OSError:
            continue
    try:
        found = [str(info[4][0]) for info in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)]
    except OSError:
        found = []
    return next((a for a in found if not a.startswith("127.")), "127.0.0.1")
