#!/usr/bin/env bash
# One node, all its cores, and its GPUs where some are asked for:
#   sbatch slurm/node.sh --env CartPole-v1
#   sbatch --gres=gpu:1 slurm/node.sh --env CartPole-v1
# A part of a node is `sbatch --nodes=1 --cpus-per-task=8 slurm/multinode.sh`.
#
#SBATCH --job-name=rl
#SBATCH --output=rl-%j.out --open-mode=append
#SBATCH --requeue --signal=B:USR1@120
#SBATCH --time=24:00:00
#SBATCH --nodes=1 --ntasks-per-node=1 --exclusive --mem=0
set -euo pipefail
# Slurm may warn of the end before the rest of this script is read.
warned=
trap 'warned=1' USR1
RL_STARTED=$(date +%s.%N)
# Slurm runs a copy of this script, and tells where the original is.
until RL_ROOT=$(scontrol show job "$SLURM_JOB_ID") || ((SECONDS > 120)); do sleep 1; done
RL_ROOT=${RL_ROOT#*Command=} RL_ROOT=${RL_ROOT%%/slurm/node.sh*}
[[ -r $RL_ROOT/slurm/common.sh ]] || { echo "error: node $(hostname) finds no slurm/common.sh in '$RL_ROOT', where Slurm says that the job's checkout is" >&2; exit 2; }
# shellcheck source=slurm/common.sh
. "$RL_ROOT/slurm/common.sh"

job::run node "$@"
