"""Training an agent: from options to an RLlib algorithm, the loop, its files.

Of Slurm it knows the number of a job, for the lock of a run.
"""
