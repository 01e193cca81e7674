"""Jobs of `slurm/rl submit --local`: a test starts one, watches it, breaks it, and sees that it leaves nothing."""

import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

CHECKOUT = Path(__file__).parents[1]
# Other tests run beside it: every deadline is so many times as far.
PATIENCE = 4


class LocalJob:
    """A job that runs here, in a folder of its own, where it is the `number`th."""

    def __init__(self, folder, arguments, environment, number=1, checkout=CHECKOUT):
        """Start it. Its roles have their temporary files in a folder that is to be empty when the job is over."""
        self.folder, self.id = folder, f"local-{number}"
        self.files = folder / "runs" / self.id
        self.rl, self._output = checkout / "slurm/rl", folder / f"output-{number}"
        # Short, for Ray's sockets are below it.
        self.temporary = Path(tempfile.mkdtemp(prefix="t-", dir="/tmp"))
        self.environment = {**environment, "TMPDIR": str(self.temporary)}
        with self._output.open("w") as output:
            self.process = subprocess.Popen(
                [self.rl, "submit", "--local", *map(str, arguments)],
                cwd=folder,
                env=self.environment,
                stdout=output,
                stderr=output,
                start_new_session=True,
                # Tests that run in the background are deaf to Ctrl-C.
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
            )

    @property
    def output(self):
        return self._output.read_text()

    @property
    def run(self):
        """The run's folder."""
        return Path((self.files / "run").read_text())

    @property
    def rows(self):
        """The rows of the run; none before the first."""
        try:
            lines = (self.run / "result.json").read_text().splitlines()
        except OSError:
            return []
        return [json.loads(line) for line in lines if line.endswith("}")]

    @property
    def summary(self):
        return json.loads((self.run / "summary.json").read_text())

    def until(self, condition, seconds, what):
        """Poll until a condition holds while the job runs."""
        deadline = time.monotonic() + seconds * PATIENCE
        while not condition():
            over = self.process.poll() is not None or time.monotonic() > deadline
            assert condition() or not over, f"not within {seconds * PATIENCE} s: {what}\n{self.output}"
            time.sleep(0.1)

    def says(self, text, seconds=60):
        """Wait until it says that."""
        self.until(lambda: text in self.output, seconds, text)

    def trains(self, further=3):
        """Wait until it is so many iterations further than now."""
        before = len(self.rows)
        self.until(lambda: len(self.rows) > before + further, 120, "it trains")

    def told(self, *command):
        """What slurm/rl says of it: status, stop, logs."""
        line = [self.rl, *command, self.id]
        done = subprocess.run(line, cwd=self.folder, env=self.environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def warn(self):
        """Slurm's warning of the end of a job."""
        self.process.send_signal(signal.SIGUSR1)

    def interrupt(self):
        """Ctrl-C, which a terminal sends to all in the foreground."""
        os.killpg(self.process.pid, signal.SIGINT)

    def kill(self, what, node="", number=signal.SIGKILL):
        """End the processes of the job whose command lines have this, on all nodes or on one; there must be some."""
        there = [process for process in self._found(node) if what in _command(process)]
        for process in there:
            os.kill(int(process.name), number)
        assert there, f"no process has {what!r}: {self.processes()}"

    def ends(self, code=0, seconds=120):
        """Wait for its end; it must leave nothing."""
        assert self.process.wait(timeout=seconds * PATIENCE) == code, self.output
        assert self.processes() == [], self.processes()
        assert list(self.temporary.iterdir()) == [] and not (self.files / "local.pid").exists()

    def cleaned(self):
        """End it, as in the end of a test."""
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(timeout=60 * PATIENCE)
        shutil.rmtree(self.temporary, ignore_errors=True)

    def listens_at(self):
        """The addresses at which the job's processes listen."""
        mine = {f"pid={process.name}," for process in self._found()}
        lines = subprocess.run(["ss", "-Hltnp"], capture_output=True, text=True, check=True).stdout.splitlines()
        at = [line.split()[3].rpartition(":")[0] for line in lines if any(number in line for number in mine)]
        # As a socket of IPv6 has it.
        return {address.strip("[]").removeprefix("::ffff:") for address in at}

    def processes(self, node=""):
        """The processes of the job that are there, as their command lines; of all nodes, or of one."""
        return [_command(process) for process in self._found(node)]

    def _found(self, node=""):
        """The processes that know of the job's temporary folder, as its script, roles and their Ray do."""
        known = {f"TMPDIR={self.temporary}", *([f"SLURMD_NODENAME={node}"] if node else [])}
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            try:
                told = (process / "environ").read_bytes().decode(errors="replace").split("\0")
            except OSError:
                continue
            # A role's own is below the job's.
            if all(any(entry.startswith(text) for entry in told) for text in known):
                found.append(process)
        return found


def _command(process):
    try:
        return (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")[:300]
    except OSError:
        return ""
