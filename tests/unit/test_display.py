"""How far an iteration is that takes long: live on a terminal, a line a minute in a log."""

import io

import pytest
from rich.console import Console

from rlsif.training.display import PlainLines, display_for
from rlsif.training.stopping import Stop


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.fault(
    "an iteration takes many minutes",
    promise="a terminal shows its env steps live, and a log has a line a minute",
)
def test_an_iteration_that_takes_long_is_told_once_a_minute(monkeypatch):
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    output = io.StringIO()
    display = display_for(output)
    assert isinstance(display, PlainLines)
    for second in range(0, 200, 2):
        now[0] = float(second)
        display.progress(f"{second} of 200 env steps")
    assert output.getvalue().splitlines() == [f"{second} of 200 env steps" for second in (60, 120, 180)]


def test_a_terminal_shows_it_live():
    display = display_for(Terminal())
    display.start("PPO (tf) on Slow", "2 CPUs", "/a/folder", Stop(iters=3))
    for steps in (50, 51):
        display.progress(f"{steps} of 200 env steps")
        seen = io.StringIO()
        Console(file=seen, width=100).print(display.renderable)
        assert f"this iteration  {steps} of 200 env steps" in " ".join(seen.getvalue().split("\n"))
    display.close()
