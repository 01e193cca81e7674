#!/usr/bin/env bash
# Head, rollout nodes and a learner, each in a group of resources of its own:
#   sbatch slurm/hetjob.sh --env CartPole-v1
#   sbatch --account=x : --nodes=8 --cpus-per-task=36 : --gres=gpu:2 slurm/hetjob.sh --algo APPO --env CartPole-v1
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
RL_STARTED=$(date +%s.%N)
RL_ROOT=$(scontrol show job "$SLURM_JOB_ID" | sed -n '0,/Command=/s|^ *Command=\(.*\)/slurm/hetjob\.sh.*|\1|p')
# shellcheck source=slurm/common.sh
. "$RL_ROOT/slurm/common.sh"

learner_gpus=$(job::gpus "$SLURM_JOB_ID+2")
learner_image=$RL_IMAGE
((learner_gpus == 0)) || learner_image=$RL_IMAGE_GPU
job::prepare "$RL_IMAGE" "$learner_image"
rollout_nodes=$(job::names "$SLURM_JOB_NODELIST_HET_GROUP_1")
learner_node=$(job::names "$SLURM_JOB_NODELIST_HET_GROUP_2")
job::start head --het-group=0 -- "$RL_IMAGE" \
    --rollout-nodes "$rollout_nodes" --rollout-cpus "$(job::cpus "$SLURM_JOB_CPUS_PER_NODE_HET_GROUP_1")" \
    --learner-node "$learner_node" --learner-cpus "$(job::cpus "$SLURM_JOB_CPUS_PER_NODE_HET_GROUP_2")" \
    --learner-gpus "$learner_gpus" -- "$@"
job::start rollout --het-group=1 --ntasks="$SLURM_JOB_NUM_NODES_HET_GROUP_1" -- "$RL_IMAGE"
job::start learner --het-group=2 -- "$learner_image"
job::wait
