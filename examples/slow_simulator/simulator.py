"""Stands for a simulator: a program of its own that takes 50 ms a step, and talks by lines of text.

Started by env.py. Reads `reset SEED` or `step ACTION`; prints a temperature, and after a step how far it is from 20.
"""

import random
import sys
import time

SECONDS_A_STEP = 0.05


def main() -> None:
    """Answer every line until the input ends."""
    temperature = 20.0
    for line in sys.stdin:
        command, value = line.split()
        if command == "reset":
            temperature = random.Random(int(value)).choice([18.0, 22.0])
        else:
            time.sleep(SECONDS_A_STEP)
            temperature += 1.0 if int(value) == 1 else -1.0
        print(temperature, abs(temperature - 20.0), flush=True)


if __name__ == "__main__":
    main()
