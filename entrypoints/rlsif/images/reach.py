"""Ask an address of the network, and say in a few words why it did not answer as it should.

urllib takes the proxies of the environment; the certificates are the site's.
"""

from __future__ import annotations

import http.client
import socket
import ssl
import urllib.error
import urllib.request
from pathlib import Path

from rlsif.errors import RlsifError

SECONDS_TO_ANSWER = 10
UNTRUSTED = "has a certificate that this machine does not trust (SSL_CERT_FILE=bundle.pem names others)"
LIMITS = "limits its downloads for now (429)"


class Unreachable(RlsifError):
    """An address did not answer as it should; `status` is the number that it answered with, if it did."""

    def __init__(self, host: str, why: str, status: int = 0) -> None:
        """Say why, with the host's name before it."""
        super().__init__(f"{host} {why}")
        self.status = status


def ask(address: str, ca_bundle: Path | None) -> None:
    """Look whether there is something at an address. Raises Unreachable."""
    request = urllib.request.Request(address, method="HEAD")
    host = request.host
    try:
        context = ssl.create_default_context(cafile=str(ca_bundle) if ca_bundle else None)
        urllib.request.urlopen(request, timeout=SECONDS_TO_ANSWER, context=context).close()
    except urllib.error.HTTPError as problem:
        with problem:
            why = LIMITS if problem.code == 429 else f"answers {problem.code} {problem.reason}"
            raise Unreachable(host, why, problem.code) from None
    except urllib.error.URLError as problem:
        raise Unreachable(host, _why(problem.reason)) from None
    except (OSError, ValueError, http.client.HTTPException) as problem:
        raise Unreachable(host, _why(problem)) from None


def _why(problem: object) -> str:
    if isinstance(problem, ssl.SSLCertVerificationError):
        return UNTRUSTED
    # On Python 3.9 a socket's timeout is a kind of its own.
    if isinstance(problem, (TimeoutError, socket.timeout)):
        return f"does not answer within {SECONDS_TO_ANSWER} s"
    if isinstance(problem, ConnectionRefusedError):
        return "refuses the connection"
    if isinstance(problem, socket.gaierror):
        return "has a name that is not known here"
    return f"cannot be reached: {problem}"
