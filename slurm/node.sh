#!/usr/bin/env bash
# One node, all the cores that it is given:
#   sbatch --cpus-per-task=36 slurm/node.sh --env CartPole-v1
#
#SBATCH --job-name=rl
#SBATCH --output=rl-%j.out --open-mode=append
#SBATCH --requeue --signal=B:USR1@120
#SBATCH --time=24:00:00
#SBATCH --nodes=1 --ntasks-per-node=1 --cpus-per-task=8 --mem-per-cpu=2G
set -euo pipefail
RL_STARTED=$EPOCHREALTIME
RL_ROOT=$(scontrol show job "$SLURM_JOB_ID" | sed -n '0,/Command=/s|^ *Command=\(.*\)/slurm/node\.sh.*|\1|p')
# shellcheck source=slurm/common.sh
. "$RL_ROOT/slurm/common.sh"

job::prepare "$RL_IMAGE"
job::start head -- "$RL_IMAGE" -- "$@"
job::wait
