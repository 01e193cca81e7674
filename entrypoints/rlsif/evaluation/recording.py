"""Writes the episodes that an agent plays, in the JSON format of RLlib's offline data; see `rlsif.envs.recorded`."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Optional

import numpy as np

from rlsif.envs.find import FoundEnv
from rlsif.envs.recorded import KEY, packed
from rlsif.errors import InputError, RlsifError
from rlsif.policies import masks

# RLlib's ids of episodes are of so many bits, too.
BITS_OF_ID = 53


class Recording:
    """A file that is there whole at the end, or not at all; each episode is a line."""

    def __init__(self, folder: Path, env: FoundEnv, about: Mapping[str, Any]) -> None:
        """Begin a file of its own name in a folder, which is made; `about` says who plays. Raises InputError."""
        if env.agents:
            raise InputError(f"--record needs an environment of one agent, and {env.ref.short} has {len(env.agents)}")
        folder = folder.expanduser().absolute()
        name = f"{env.ref.file_name}_{datetime.now():%Y-%m-%d_%H-%M-%S}_{secrets.token_hex(3)}.json"
        self.path, self._partial = folder / name, folder / f".{name}.partial"
        # Of every episode; more may be told before the first.
        self.about = {"env": env.ref.short, "env_config": dict(env.ref.arguments), "spaces": env.described, **about}
        self._encoder = masks.encoder_of(env.observations)
        self._next_id = secrets.randbits(BITS_OF_ID)
        self.episodes = self.steps = 0
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._file = self._partial.open("w")
        except OSError as problem:
            raise InputError(f"--record {folder} cannot be written: {problem.strerror}") from problem

    def write(self, rows: list[dict[str, Any]]) -> None:
        """Add an episode. Raises RlsifError where the disk refuses."""
        number, episode = len(rows), self._next_id + self.episodes
        columns = {name: np.array([row[name] for row in rows]) for name in rows[0]}
        for name in ("obs", "new_obs"):
            columns[name] = self._observations(columns[name])
        line = {
            "type": "SampleBatch", "eps_id": [episode] * number, "unroll_id": [episode] * number,
            "agent_index": [0] * number, "t": list(range(number)),
            "infos": [{KEY: self.about}, *[{}] * (number - 1)],
            **{name: values if isinstance(values, str) else values.tolist() for name, values in columns.items()},
        }  # fmt: skip
        with _telling(self.path):
            self._file.write(json.dumps(line) + "\n")
        self.episodes, self.steps = self.episodes + 1, self.steps + number

    def finish(self) -> None:
        """Put the file in its place. Raises RlsifError where the disk refuses."""
        with _telling(self.path):
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            self._partial.replace(self.path)

    def drop(self) -> None:
        """Leave nothing of a file that is not finished."""
        # What was still to be written may have no room.
        with contextlib.suppress(OSError):
            self._file.close()
        self._partial.unlink(missing_ok=True)

    def _observations(self, values: Any) -> Any:
        # Images in digits would be four times as long.
        return packed(values) if self._encoder.is_image else values


class _telling:
    """Tells of a disk that refuses."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        """Begin."""

    def __exit__(self, kind: Optional[type], problem: Optional[BaseException], _: object) -> None:
        if isinstance(problem, OSError):
            raise RlsifError(f"--record {self._path} was not written: {problem.strerror or problem}") from problem


class RecordedAgent:
    """An agent of whom is kept what it saw and chose, as its policy has them."""

    def __init__(self, agent: Any) -> None:
        """Take an agent."""
        self._agent = agent
        # Of each slot, what it saw last and chose then.
        self.last: dict[int, tuple[Any, Any]] = {}

    def act(self, seen: list[Any], slots: list[int], deterministic: bool) -> list[Any]:
        """Act, and keep it."""
        encoded, chosen = self._agent.choose(seen, slots, deterministic)
        self.last.update({slot: (mine, action) for slot, mine, action in zip(slots, encoded, chosen)})
        actions: list[Any] = self._agent.actions(chosen)
        return actions

    def rewarded(self, slot: int, reward: float) -> None:
        """Take what the agent of a slot got in a step."""
        self._agent.rewarded(slot, reward)

    def forget(self, slot: int) -> None:
        """Begin a new episode there."""
        self._agent.forget(slot)

    def encoded(self, observation: Any, info: Mapping[str, Any]) -> Any:
        """What the policy would see."""
        return self._agent.encoded(observation, info)


class RecordedEnv:
    """An environment whose steps are kept, and written once an episode ends."""

    def __init__(self, env: Any, agent: RecordedAgent, slot: int, recording: Recording) -> None:
        """Take an environment and the slot of the agent that acts in it."""
        self._env, self._agent, self._slot, self._recording = env, agent, slot, recording
        self._rows: list[dict[str, Any]] = []

    @property
    def action_space(self) -> Any:
        """The environment's."""
        return self._env.action_space

    def reset(self, **how: Any) -> Any:
        """Begin an episode."""
        self._rows = []
        return self._env.reset(**how)

    def step(self, action: Any) -> Any:
        """Act, and keep what came of it."""
        outcome = self._env.step(action)
        observation, reward, terminated, truncated, info = outcome
        saw, chosen = self._agent.last[self._slot]
        self._rows.append({
            "obs": saw, "new_obs": self._agent.encoded(observation, info), "actions": chosen, "rewards": float(reward),
            "terminateds": bool(terminated), "truncateds": bool(truncated),
        })  # fmt: skip
        if terminated or truncated:
            self._recording.write(self._rows)
        return outcome
