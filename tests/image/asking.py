"""How forks.py is asked to run a command. Needs little of Python's library, for it is what every command waits for."""

import json
import socket
import struct


def ask(path, request, files, seconds=None):
    """Have a command run, with these files as its standard input, output and error; give its exit code, as subprocess.

    `request` has `arguments`, `env`, which is added to the image's, and `cwd`. Raises EOFError when nobody is there to
    tell the code, TimeoutError after so many seconds; the command ends with this connection.
    """
    message = json.dumps(request).encode()
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(seconds)
        connection.connect(str(path))
        socket.send_fds(connection, [struct.pack("!I", len(message))], files)
        connection.sendall(message)
        told = connection.recv(100)
    if not told:
        raise EOFError(path)
    return int(told)


def asked(connection):
    """The request that came by a connection, and the files with it."""
    size, files, _, _ = socket.recv_fds(connection, 4, 3)
    [size] = struct.unpack("!I", size)
    with connection.makefile("rb") as stream:
        return json.loads(stream.read(size)), files
