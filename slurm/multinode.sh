#!/usr/bin/env bash
# CPU nodes only; the first is head and learner and spends its other cores on env runners, too:
#   sbatch --nodes=8 --cpus-per-task=36 slurm/multinode.sh --env CartPole-v1
# Or a part of one node, with or without a GPU for the learner:
#   sbatch --nodes=1 --cpus-per-task=8 --gres=gpu:1 slurm/multinode.sh --env CartPole-v1
#
#SBATCH --job-name=rl
#SBATCH --output=rl-%j.out --open-mode=append
#SBATCH --requeue --no-kill --signal=B:USR1@120
#SBATCH --time=24:00:00
#SBATCH --nodes=2 --ntasks-per-node=1 --cpus-per-task=8 --mem-per-cpu=2G
set -euo pipefail
# Slurm may warn of the end before the rest of this script is read.
warned=
trap 'warned=1' USR1
RL_STARTED=$(date +%s.%N)
# Slurm runs a copy of this script, and tells where the original is.
until RL_ROOT=$(scontrol show job "$SLURM_JOB_ID") || ((SECONDS > 120)); do sleep 1; done
RL_ROOT=${RL_ROOT#*Command=} RL_ROOT=${RL_ROOT%%/slurm/multinode.sh*}
[[ -r $RL_ROOT/slurm/common.sh ]] || { echo "error: node $(hostname) finds no slurm/common.sh in '$RL_ROOT', where Slurm says that the job's checkout is" >&2; exit 2; }
# shellcheck source=slurm/common.sh
. "$RL_ROOT/slurm/common.sh"

job::run multinode "$@"
