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
# Slurm runs a copy of this script, and tells where the original is.
until RL_ROOT=$(scontrol show job "$SLURM_JOB_ID") || ((SECONDS > 120)); do sleep 1; done
RL_ROOT=${RL_ROOT#*Command=} RL_ROOT=${RL_ROOT%%/slurm/rollout.sh*}
[[ -r $RL_ROOT/slurm/common.sh ]] || { echo "error: node $(hostname) finds no slurm/common.sh in '$RL_ROOT', where Slurm says that the job's checkout is" >&2; exit 2; }
# shellcheck source=slurm/common.sh
. "$RL_ROOT/slurm/common.sh"

job::lend "${1:-}"
