"""Videos of an environment, without a display."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from rlsif.errors import InputError

KINDS = (".mp4", ".gif")
# Where the environment does not say.
FRAMES_PER_SECOND = 30
# Viewers round what is shorter up to a tenth of a second.
MOST_FRAMES_PER_SECOND_OF_GIF = 50


def check(path: Path) -> None:
    """Refuse a name that no video can have. Raises InputError."""
    if path.suffix not in KINDS:
        raise InputError(f"--video is {str(path)!r}; its name must end with {' or '.join(KINDS)}")
    if not path.absolute().parent.is_dir():
        raise InputError(f"--video {path} cannot be written: there is no folder {path.absolute().parent}")


def without_display() -> None:
    """Have pygame draw into memory; to be called before it is imported."""
    os.environ["SDL_VIDEODRIVER"] = os.environ["SDL_AUDIODRIVER"] = "dummy"


def check_drawing(env_id: str, env: Any) -> None:
    """Refuse an environment that renders no images. Raises InputError."""
    modes = env.metadata.get("render_modes", [])
    if "rgb_array" not in modes:
        has = f"its render modes are {', '.join(modes)}" if modes else "it has no render modes"
        raise InputError(
            f"--video: environment {env_id!r} renders no images, {has};"
            ' it needs metadata = {"render_modes": ["rgb_array"]} and a render() that returns one'
        )


class Video:
    """A video of an environment, put in place when it is finished."""

    def __init__(self, path: Path, env: Any) -> None:
        """Take an environment that was made with render_mode="rgb_array"."""
        import imageio

        self._path, self._env = path, env
        self._partial = path.with_name(f".{path.stem}.partial{path.suffix}")
        rate = int(env.metadata.get("render_fps") or FRAMES_PER_SECOND)
        if path.suffix == ".gif":
            how: dict[str, Any] = {"duration": 1000 / min(rate, MOST_FRAMES_PER_SECOND_OF_GIF), "loop": 0}
        else:
            # Even numbers of pixels are all that H.264 asks for.
            how = {"fps": rate, "macro_block_size": 2, "ffmpeg_log_level": "error"}
        try:
            self._writer: Any = imageio.get_writer(self._partial, **how)
        except OSError as problem:
            raise InputError(f"--video {path} cannot be written: {problem.strerror}") from problem

    def shoot(self) -> None:
        """Add the environment as it is now. Raises InputError where it draws no picture."""
        picture = self._env.render()
        if getattr(picture, "ndim", 0) != 3 or picture.shape[-1] != 3:
            what = f"an array of shape {picture.shape}" if hasattr(picture, "shape") else repr(picture)[:80]
            raise InputError(f"--video: render() returned {what}; it must return an array of [height, width, 3], uint8")
        self._writer.append_data(picture)

    def finish(self) -> None:
        """Put the video in place."""
        self._writer.close()
        self._partial.replace(self._path)

    def drop(self) -> None:
        """Leave nothing of a video that was not finished; of one that was, all."""
        self._writer.close()
        self._partial.unlink(missing_ok=True)
