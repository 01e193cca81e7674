#!/usr/bin/env bash
# Head, rollout nodes and a learner, each in a group of resources of its own:
#   sbatch slurm/hetjob.sh --env CartPole-v1
#   sbatch --account=x : --nodes=8 --cpus-per-task=36 : --gres=gpu:a100:1 slurm/hetjob.sh --algo APPO --env CartPole-v1
#
# The head: small, and where the batch script runs.
#SBATCH --job-name=rl
#SBATCH --output=rl-%j.out --open-mode=append
#SBATCH --requeue --signal=B:USR1@120
#SBATCH --time=24:00:00
#SBATCH --nodes=1 --ntasks-per-node=1 --cpus-per-task=2 --mem-per-cpu=4G
#SBATCH hetjob
# The rollout nodes: an env runner a core.
#SBATCH --nodes=2 --ntasks-per-node=1 --cpus-per-task=8 --mem-per-cpu=2G
#SBATCH hetjob
# The learner: with a GPU, in rl-gpu.sif; without, as by `sbatch : : --gres=none`, it learns on its CPUs, in rl.sif.
#SBATCH --nodes=1 --ntasks-per-node=1 --cpus-per-task=4 --mem-per-cpu=4G --gres=gpu:1
set -euo pipefail
# Slurm may warn of the end before the rest of this script is read.
warned=
trap 'warned=1' USR1
RL_STARTED=$(date +%s.%N)
# Slurm runs a copy of this script, and tells where the original is.
until RL_ROOT=$(scontrol show job "$SLURM_JOB_ID") || ((SECONDS > 120)); do sleep 1; done
RL_ROOT=${RL_ROOT#*Command=} RL_ROOT=${RL_ROOT%%/slurm/hetjob.sh*}
[[ -r $RL_ROOT/slurm/common.sh ]] || { echo "error: node $(hostname) finds no slurm/common.sh in '$RL_ROOT', where Slurm says that the job's checkout is" >&2; exit 2; }
# shellcheck source=slurm/common.sh
. "$RL_ROOT/slurm/common.sh"

job::run hetjob "$@"
