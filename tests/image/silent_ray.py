"""`train`, on a machine where Ray's processes come up and then answer nobody; Ray's folder is told in a file."""

import ctypes
import sys
from pathlib import Path

from rlsif import private_api
from rlsif.cluster import ray_node
from rlsif.commands import train

connect = private_api.init


def connect_to_silence(**how):
    import ray._raylet

    # As Ray's C++ waits: with Python's lock.
    ray._raylet.CoreWorker = lambda *_: ctypes.PyDLL(None).sleep(600)
    Path("folder").write_text(str(*ray_node._FOLDERS))
    connect(**how)


private_api.init = connect_to_silence
ray_node.SECONDS_TO_CONNECT = 20
sys.argv[0] = "train"
train.main()
