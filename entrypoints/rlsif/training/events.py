"""TensorBoard's event file, written in step with the run.

tensorboardX's own writer leaves writing to a thread; when the disk is full that thread dies, and the
run then waits for it indefinitely.
"""

from __future__ import annotations

import math
import socket
import struct
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rlsif.files import append


class Events:
    """One event file of a run."""

    def __init__(self, folder: Path, resumed_at: int = 0) -> None:
        """Name a new file; after a resume TensorBoard hides what other files have of later iterations."""
        from tensorboardX.proto.event_pb2 import Event, SessionLog

        self._path = folder / f"events.out.tfevents.{time.time():.6f}.{socket.gethostname()}"
        self._pending = _record(Event(wall_time=time.time(), file_version="brain.Event:2"))
        if resumed_at:
            start = SessionLog(status=SessionLog.START)
            self._pending += _record(Event(wall_time=time.time(), step=resumed_at + 1, session_log=start))

    def add(self, row: Mapping[str, Any]) -> None:
        """Write the row's numbers. Raises OSError where the disk refuses; they come with the next row."""
        from tensorboardX.proto.event_pb2 import Event
        from tensorboardX.proto.summary_pb2 import Summary

        finite = {name: float(v) for name, v in row.items() if v is not None and math.isfinite(v)}
        values = [Summary.Value(tag=name, simple_value=value) for name, value in finite.items()]
        event = Event(wall_time=time.time(), step=row["training_iteration"], summary=Summary(value=values))
        self._pending += _record(event)
        append(self._path, self._pending)
        self._pending = b""


def _record(event: Any) -> bytes:
    """An event in TensorFlow's record format: length, data, and a checksum of each."""
    from tensorboardX.record_writer import masked_crc32c

    data = event.SerializeToString()
    header = struct.pack("<Q", len(data))
    return bytes(header + struct.pack("<I", masked_crc32c(header)) + data + struct.pack("<I", masked_crc32c(data)))
