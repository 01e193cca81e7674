"""A Slurm cluster on this machine: every node its own network, mounts, processes and name.

Each node is an overlay of one Debian root file system; all hang on one bridge. Its ways are those of difficult sites:
a second network, names that stand for IPv6 first, an own name that stands for 127.0.1.1. Needs root.

Several clusters can be up on a machine: a bridge joins the nodes of one alone, so that all have the same addresses,
and what the machine sees of one is named after the process that booted it.
"""

import os
import re
import subprocess
import textwrap
import time
from pathlib import Path

from tests.debian import RELEASE, cached_root

PACKAGES = ["slurmctld", "slurmd", "slurm-client", "munge", "iproute2", "procps", "hostname", "util-linux", "python3"]
PACKAGES += ["openssh-server", "openssh-client", "curl"]
# The Debian of the nodes, and so their Slurm: trixie has 24.11, bookworm 22.05.
DEBIAN = os.environ.get("RLSIF_SLURM_DEBIAN", RELEASE)
# Slurm without control groups; 22.05 has no word for that, and is content with those of the machine.
CGROUPS = "CgroupPlugin=cgroup/v1\nCgroupAutomount=no\n" if DEBIAN == "bookworm" else "CgroupPlugin=disabled\n"
# 22.05 gives a preempted job no warning.
PREEMPTION = "" if DEBIAN == "bookworm" else "PreemptParameters=send_user_signal\n"
USERS = {"alice": 2001, "bob": 2002}
CONTROLLER = "ctl"
NETWORK, IPV6 = "10.213.7", "fd13:213:7:"
# A second network on the same wire.
FAST, FAST_NETWORK = "ib0", "10.213.8"
# How the machine sees what belongs to a cluster; the id of the process that booted it follows.
MARK = "rlsif-"
# Between two looks at what has not come yet, in seconds.
POLL = 0.5
CORES = 8
MEMORY = 60000
# Where users see the checkout; with a space, as folders may have.
CHECKOUT = "/opt/a checkout"

# An environment that every user has: one that waits leaves the machine's cores to those that have work for them.
WAITING = """
import time
from gymnasium.envs.classic_control import CartPoleEnv


class Waiting(CartPoleEnv):
    max_episode_steps = 500

    def step(self, action):
        time.sleep(0.005)
        return super().step(action)
"""

SLURM_CONF = """
ClusterName=test
SlurmctldHost=CONTROLLER
AuthType=auth/munge
AuthInfo=cred_expire=5
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerType=sched/backfill
SchedulerParameters=bf_interval=1,sched_interval=2
SlurmdParameters=config_overrides
SlurmUser=root
SlurmdUser=root
StateSaveLocation=/var/spool/slurmctld
SlurmdSpoolDir=/var/spool/slurmd
SlurmctldLogFile=/var/log/slurmctld.log
SlurmdLogFile=/var/log/slurmd.log
SlurmctldPidFile=/run/slurmctld.pid
SlurmdPidFile=/run/slurmd.pid
ReturnToService=2
SlurmdTimeout=300
KillWait=30
MpiDefault=none
JobRequeue=1
MaxJobCount=1000
GresTypes=gpu
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
PREEMPTION
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP PriorityTier=1 GraceTime=60
PartitionName=urgent Nodes=ALL MaxTime=INFINITE State=UP PriorityTier=10 PreemptMode=OFF
""".replace("CONTROLLER", CONTROLLER).replace("PREEMPTION\n", PREEMPTION)


def rootfs():
    """The root file system of all nodes, made once."""

    def with_users(folder):
        for name, uid in USERS.items():
            with (folder / "etc/passwd").open("a") as passwd, (folder / "etc/group").open("a") as group:
                passwd.write(f"{name}:x:{uid}:{uid}::/home/{name}:/bin/bash\n")
                group.write(f"{name}:x:{uid}:\n")

    return cached_root("slurm", PACKAGES, with_users, [USERS], DEBIAN)


INIT = r"""
set -eu
name=$1 root=$2 layers=$3
shift 3
hostname "$name"
mount --make-rprivate /
# In the node's own namespace: they end with it, and nobody who removes a folder outside meets them.
mount -t overlay -o "$layers" overlay "$root"
while [ $# -gt 0 ]; do
    mkdir -p "$root$2"
    mount --bind "$1" "$root$2"
    shift 2
done
mkdir -p "$root/old"
cd "$root"
mount -t proc proc proc
mount --rbind /sys sys
mount -t tmpfs -o mode=755 tmpfs dev
for device in null zero full random urandom tty; do
    touch "dev/$device"; mount --bind "/dev/$device" "dev/$device"
done
mknod -m 666 dev/fuse c 10 229
mknod -m 666 dev/nvidia-fake c 1 3
mkdir dev/shm dev/pts
mount -t tmpfs -o mode=1777 tmpfs dev/shm
mount -t devpts -o newinstance,ptmxmode=0666 devpts dev/pts
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
mount -t tmpfs -o mode=1777 tmpfs tmp
mount -t tmpfs -o mode=755 tmpfs run
pivot_root . old
umount -l /old
mkdir -p /run/munge /run/sshd /var/spool/slurmctld /var/spool/slurmd
chown munge:munge /run/munge
setpriv --reuid=munge --regid=munge --clear-groups munged
/usr/sbin/sshd -o UsePAM=no
if [ "$name" = CONTROLLER ]; then
    slurmctld -D &
else
    slurmd -D &
fi
# As process 1, collect what others leave; the daemon would not.
wait $!
""".replace("CONTROLLER", CONTROLLER)


class Node:
    """One node of the cluster."""

    def __init__(self, cluster, name, number):
        """Prepare its root, its network and its name."""
        self.cluster, self.name, self._number = cluster, name, number
        self.address, self.fast = f"{NETWORK}.{number}", f"{FAST_NETWORK}.{number}"
        self.ipv6 = f"{IPV6}:{number}"
        self.netns, self._folder = f"{cluster.mark}-{name}", cluster.folder / name
        # The names of interfaces end at 15 characters.
        self._link = f"v{os.getpid()}-{name}"
        self._process = None

    def boot(self):
        """Start its init."""
        for part in ("upper", "work", "root"):
            (self._folder / part).mkdir(parents=True, exist_ok=True)
        layers = f"lowerdir={self.cluster.rootfs},upperdir={self._folder}/upper,workdir={self._folder}/work"
        self.cluster.write_configuration(self, self._folder / "upper/etc")
        self._network()
        unshare = ["unshare", "--mount", "--pid", "--uts", "--fork", "--kill-child", "--propagation", "private"]
        shared = [path for pair in self.cluster.shared for path in pair]
        init = ["bash", "-c", INIT, "init", self.name, self._folder / "root", layers, *shared]
        log = (self._folder / "init.log").open("a")
        # Gone with this process, however that ends.
        command = ["setpriv", "--pdeathsig", "KILL", "ip", "netns", "exec", self.netns, *unshare, *init]
        self._process = subprocess.Popen(list(map(str, command)), stdout=log, stderr=log, stdin=subprocess.DEVNULL)

    def _network(self):
        # Of its last time.
        try_to("ip", "netns", "del", self.netns)
        try_to("ip", "link", "del", self._link)
        run("ip", "netns", "add", self.netns)
        run("ip", "link", "add", self._link, "type", "veth", "peer", "name", "eth0", "netns", self.netns)
        run("ip", "link", "set", self._link, "master", self.cluster.mark, "up")
        inside = ["ip", "-n", self.netns]
        run(*inside, "link", "add", FAST, "link", "eth0", "type", "macvlan", "mode", "bridge")
        run(*inside, "addr", "add", f"{self.address}/24", "dev", "eth0")
        run(*inside, "addr", "add", f"{self.ipv6}/64", "dev", "eth0", "nodad")
        run(*inside, "addr", "add", f"{self.fast}/24", "dev", FAST)
        for link in ("eth0", FAST, "lo"):
            run(*inside, "link", "set", link, "up")

    @property
    def pid(self):
        """The process id of its init, as this machine counts."""
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()
        return int(children[0])

    def enter(self, user=None):
        """The start of a command that runs on the node."""
        uid = USERS.get(user, 0)
        ids = ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups"]
        home = f"/home/{user}" if user else "/root"
        path = f"{self.cluster.apptainer.parent}:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"
        inside = ["nsenter", "--target", str(self.pid), "--mount", "--net", "--pid", "--uts", f"--wdns={home}"]
        return [*inside, "env", "-i", f"HOME={home}", f"USER={user or 'root'}", f"PATH={path}", "LC_ALL=C.UTF-8", *ids]

    @property
    def is_on(self):
        """Whether it runs."""
        return self._process is not None and self._process.poll() is None

    def power_off(self):
        """End all of it at once, as a power cut does."""
        if self.is_on:
            os.kill(self.pid, 9)
            self._process.wait(timeout=20)
        try_to("ip", "netns", "del", self.netns)

    def processes(self):
        """The processes of users on the node, as lines of `ps`."""
        said = subprocess.run(
            [*self.enter(), "ps", "-eo", "user:20,pid,args", "--no-headers"], capture_output=True, text=True
        )
        return [line for line in said.stdout.splitlines() if line.split()[0] in USERS]

    def log(self):
        """The ends of its logs."""
        return (self._folder / "init.log").read_text()[-2000:]


class Cluster:
    """Boots the nodes and types commands on them."""

    def __init__(self, folder, checkout, apptainer, cpu_nodes=2, patience=1):
        """`folder` is for this cluster alone; users see the checkout as CHECKOUT, and /home.

        All deadlines are `patience` times as far as they say, for a machine that has more to do.
        """
        self.folder, self.patience, self.mark = folder, patience, f"{MARK}{os.getpid()}"
        self.apptainer = Path(apptainer).resolve()
        self.rootfs = rootfs()
        home = folder / "home"
        prefix = self.apptainer.parents[1]
        self.shared = [(home, "/home"), (prefix, prefix), (checkout, CHECKOUT)]
        for name, uid in USERS.items():
            (home / name).mkdir(parents=True)
            os.chown(home / name, uid, uid)
            (home / name).chmod(0o700)
            (home / name / "waiting.py").write_text(WAITING)
        self.key = os.urandom(128)
        # Those that tests have submitted, oldest first.
        self.jobs = []
        self.names = ["head", *(f"cpu{number}" for number in range(1, cpu_nodes + 1)), "gpu1"]
        self.nodes = {name: Node(self, name, number) for number, name in enumerate([CONTROLLER, *self.names], start=2)}

    def _slurm_conf(self):
        """Slurm's nodes, by address: a name is none to rely on here."""
        common = f"CPUs={CORES} RealMemory={MEMORY} State=UNKNOWN"
        lines = [f"NodeName={name} NodeAddr={self.nodes[name].address} {common}" for name in self.names]
        # Slurm gives the groups of a job different nodes, and looks at one group after the other; without the weight
        # it may plan the node with the GPU for the first of them, and then never start the job.
        lines[-1] += " Gres=gpu:1 Weight=10"
        return "\n".join([SLURM_CONF, *lines, ""])

    def write_configuration(self, node, etc):
        """Write what a node has in /etc beside what is in the root of all."""
        for folder in ("", "slurm", "munge"):
            (etc / folder).mkdir(parents=True, exist_ok=True)
        owner = (self.rootfs / "etc/munge").stat()
        os.chown(etc / "munge", owner.st_uid, owner.st_gid)
        (etc / "munge").chmod(owner.st_mode & 0o7777)
        (etc / "slurm/slurm.conf").write_text(self._slurm_conf())
        (etc / "slurm/cgroup.conf").write_text(CGROUPS)
        (etc / "slurm/gres.conf").write_text("NodeName=gpu1 Name=gpu File=/dev/nvidia-fake\n")
        hosts = "".join(f"{n.ipv6} {name}\n{n.address} {name}\n" for name, n in self.nodes.items())
        (etc / "hosts").write_text(f"::1 localhost\n127.0.0.1 localhost\n127.0.1.1 {node.name}\n{hosts}")
        munge = etc / "munge/munge.key"
        munge.unlink(missing_ok=True)
        munge.write_bytes(self.key)
        os.chown(munge, owner.st_uid, owner.st_gid)
        munge.chmod(0o400)

    def boot(self):
        """Boot every node and wait until all are idle."""
        remove_what_killed_processes_left()
        run("ip", "link", "add", self.mark, "type", "bridge")
        run("ip", "link", "set", self.mark, "up")
        for node in self.nodes.values():
            node.boot()
        self.wait_until(lambda: self.idle() == set(self.names), 60, "all nodes are idle")

    def boot_again(self):
        """Boot the nodes that are switched off."""
        for node in self.nodes.values():
            if not node.is_on:
                node.boot()

    @property
    def is_up(self):
        """Whether commands can be typed."""
        return self.nodes[CONTROLLER].is_on

    def idle(self):
        """The names of the nodes that are idle."""
        try:
            said = self("sinfo", "-h", "-N", "-o", "%N %t", check=False).stdout
        except (OSError, IndexError):
            return set()
        return {line.split()[0] for line in said.splitlines() if line.endswith(" idle")}

    def __call__(self, *command, user=None, node=CONTROLLER, check=True, **variables):
        """Run a command on a node, as a user; give what it said."""
        enter = self.nodes[node].enter(user)
        at = enter.index("LC_ALL=C.UTF-8")
        enter[at:at] = [f"{name}={value}" for name, value in variables.items()]
        done = subprocess.run(
            [*enter, *map(str, command)],
            capture_output=True,
            text=True,
            timeout=120 * self.patience,
            stdin=subprocess.DEVNULL,
        )
        if check and done.returncode != 0:
            raise AssertionError(f"{command} on {node}: {done.returncode}\n{done.stdout}{done.stderr}")
        return done

    def wait_until(self, condition, seconds, what):
        """Poll, with a deadline; say what did not come."""
        deadline = time.monotonic() + seconds * self.patience
        while not condition():
            if time.monotonic() > deadline:
                raise AssertionError(f"not within {seconds * self.patience} s: {what}\n{self.state()}")
            time.sleep(POLL)

    def miss(self, name):
        """Have Slurm take a node for down at once, as it does once it has waited for the node long enough.

        How long that is is the site's choice. A busy machine must not decide it: a node that is thought down, and is
        not, has Slurm kill what runs there.
        """
        self("scontrol", "update", f"NodeName={name}", "State=DOWN", "Reason=it does not answer")

    def look_again(self):
        """Have Slurm plan the jobs that wait. It does so after a change, and on a cluster of one user none may come."""
        self("scontrol", "update", f"NodeName={self.names[-1]}", "Comment=looked", check=False)

    def state(self):
        """What one looks at when something is wrong."""
        said = [self(*c, check=False).stdout for c in (("sinfo", "-N", "-l"), ("squeue", "--long"))]
        logs = [f"{name}: {node.log()}" for name, node in self.nodes.items()]
        return textwrap.indent("\n".join([*said, *logs]), "  ")

    def shut_down(self):
        """End everything and remove the network."""
        for node in self.nodes.values():
            node.power_off()
        try_to("ip", "link", "del", self.mark)


def remove_what_killed_processes_left():
    """Remove the networks of clusters whose process is gone; those of others stay."""
    for what, listing in (("netns", ["netns", "list"]), ("link", ["-br", "link", "show", "type", "bridge"])):
        for mark, pid in re.findall(rf"^({MARK}(\d+)\S*)", try_to("ip", *listing), flags=re.M):
            if not Path(f"/proc/{pid}").exists():
                try_to("ip", what, "del", mark)


def try_to(*command):
    """Run a command of this machine that may fail; give what it said."""
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


def run(*command):
    """Run a command of this machine that must succeed."""
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise AssertionError(f"{' '.join(map(str, command))}: {done.stderr}")
