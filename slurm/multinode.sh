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
RL_STARTED=$(date +%s.%N)
RL_ROOT=$(scontrol show job "$SLURM_JOB_ID" | sed -n '0,/Command=/s|^ *Command=\(.*\)/slurm/multinode\.sh.*|\1|p')
# shellcheck source=slurm/common.sh
. "$RL_ROOT/slurm/common.sh"

first_image=$RL_IMAGE
(($(job::gpus "$SLURM_JOB_ID") == 0)) || first_image=$RL_IMAGE_GPU
job::prepare "$RL_IMAGE" "$first_image"
read -r first others <<<"$(job::names "$SLURM_JOB_NODELIST")"
first_cpus=$(job::cpus "${SLURM_JOB_CPUS_PER_NODE%%[\(,]*}")
others_cpus=$(($(job::cpus "$SLURM_JOB_CPUS_PER_NODE") - first_cpus))
job::start head --nodes=1 --ntasks=1 --nodelist="$first" -- "$first_image" \
    --rollout-nodes "$others" --rollout-cpus "$others_cpus" -- "$@"
if [[ -n $others ]]; then
    job::start rollout --nodes=$((SLURM_JOB_NUM_NODES - 1)) --ntasks=$((SLURM_JOB_NUM_NODES - 1)) --exclude="$first" -- "$RL_IMAGE"
fi
job::wait
