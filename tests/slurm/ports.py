"""What the ports of a node say to a stranger."""

import json

from cluster import CHECKOUT
from conftest import OF_THE_SITE

# What each port says to a stranger, as JSON: the status of HTTP, or the codes of gRPC.
ASK = """
import http.client, json, sys
import grpc

METHODS = ["NodeInfoGcsService/GetAllNodeInfo", "InternalKVGcsService/InternalKVGet"]
METHODS += ["NodeManagerService/GetNodeStats", "NodeManagerService/RequestWorkerLease"]
METHODS += ["CoreWorkerService/PushTask", "CoreWorkerService/Exit", "CoreWorkerService/GetCoreWorkerStats"]
METHODS += ["ObjectManagerService/Push", "ObjectManagerService/Pull", "LogService/ListLogs"]


def by_http(host, port):
    connection = http.client.HTTPConnection(host, int(port), timeout=5)
    connection.request("GET", "/api/version")
    return connection.getresponse().status


def by_grpc(host, port):
    codes = set()
    for method in METHODS:
        try:
            grpc.insecure_channel(f"{host}:{port}").unary_unary(f"/ray.rpc.{method}")(b"", timeout=5)
            codes.add(f"answered {method}")
        except grpc.RpcError as problem:
            codes.add(problem.code().name)
    return sorted(codes - {"UNIMPLEMENTED"})


for at in sys.argv[1:]:
    host, _, port = at.rpartition(":")
    try:
        print(json.dumps([at, by_http(host, port)]))
    except (OSError, http.client.HTTPException):
        print(json.dumps([at, by_grpc(host, port)]))
"""


def answers(slurm, node):
    """What bob is told by each port on a node that is not Slurm's, from that node itself."""
    asked = []
    for line in slurm("ss", "-Hltnp", node=node).stdout.splitlines():
        at, process = line.split()[3], line.partition('(("')[2].partition('"')[0]
        host, _, port = at.rpartition(":")
        if port not in OF_THE_SITE and process not in ("srun", "slurmstepd"):
            loopback = "127.0.0.1" in host
            asked.append(f"{'127.0.0.1' if loopback else slurm.nodes[node].address}:{port}")
    command = ("apptainer", "exec", f"{CHECKOUT}/rl.sif", "python", "-c", ASK, *asked)
    told = dict(json.loads(line) for line in slurm(*command, user="bob", node=node).stdout.splitlines())
    assert sorted(told) == sorted(asked)
    return told
