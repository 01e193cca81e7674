"""What batch scripts and slurm/rl leave to Python: Slurm's words are read here, with the standard library alone.

Slurm's own commands do not work inside the image: bash runs them and pipes what they print. Plain values come in
and go out; only `rlsif.commands.slurm` reads the environment.
"""
