#!/usr/bin/env bash
# More rollout nodes for a job that runs, in a job of their own that may come, go and be preempted:
#   sbatch --nodes=8 --cpus-per-task=36 slurm/rollout.sh JOB
#
#SBATCH --job-name=rl-rollout
#SBATCH --output=rl-%j.out --open-mode=append
#SBATCH --no-requeue --no-kill
#SBATCH --time=24:00:00
#SBATCH --nodes=1 --ntasks-per-node=1 --cpus-per-task=8 --mem-per-cpu=2G
set -euo pipefail
RL_STARTED=$(date +%s.%N)
RL_ROOT=$(scontrol show job "$SLURM_JOB_ID" | sed -n '0,/Command=/s|^ *Command=\(.*\)/slurm/rollout\.sh.*|\1|p')
# shellcheck source=slurm/common.sh
. "$RL_ROOT/slurm/common.sh"

job::help "${1:-}"
job::start rollout --nodes="$SLURM_JOB_NUM_NODES" --ntasks="$SLURM_JOB_NUM_NODES" -- "$RL_IMAGE"
wait "${job_steps[rollout]}"
