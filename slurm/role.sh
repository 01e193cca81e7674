#!/usr/bin/env bash
# Runs on each node of a step: looks up what Slurm gave it here, and starts the role in its image.
#   role.sh ROLE IMAGE ROLE_OPTIONS...
set -euo pipefail

role=$1 image=$2
shift 2
node=${SLURMD_NODENAME:-$(hostname -s)}
cpus=${SLURM_CPUS_PER_TASK:-${SLURM_CPUS_ON_NODE:-1}}
memory=${SLURM_MEM_PER_NODE:-$((${SLURM_MEM_PER_CPU:-0} * cpus))}
log=$RL_JOB/logs/$node/$role$RL_LENT_BY.log

# The GPUs of the allocation, which Slurm names in CUDA_VISIBLE_DEVICES.
IFS=, read -ra gpus <<<"${CUDA_VISIBLE_DEVICES:-}"

# Preloaded libraries of the site are not those of the image; every Ray worker needs open files.
unset LD_PRELOAD
ulimit -n "$(ulimit -Hn)"
ulimit -c 0

umask 077
mkdir -p "${log%/*}"

# For Ray and all temporary files: on this node, closed to others, and short, for sockets' paths end at 107 bytes.
# Removed here, because Ray ends the role's process at once when its own are killed.
parent=${SLURM_TMPDIR:-${TMPDIR:-/tmp}}
((${#parent} <= 24)) || parent=/tmp
temporary=$(mktemp -d "$parent/rl-XXXXXXXX")
trap 'rm -rf "$temporary"' EXIT
# Slurm ends every process of the step. This one and Apptainer wait for what is inside.
trap '' TERM

binds=(--bind "$RL_RUNS" --bind "$PWD" --bind "$parent")
[[ -z $RL_BIND ]] || binds+=(--bind "$RL_BIND")
options=(--job "$RL_JOB" --temporary "$temporary" --node "$node" --cpus "$cpus" --memory "$memory" --life "$RL_LIFE"
    --interface "$RL_INTERFACE" --wait "$RL_WAIT")
[[ $role != head ]] || options+=(--started "$RL_STARTED")
[[ $role != head || -z $RL_DASHBOARD ]] || options+=(--dashboard-by "$RL_LOGIN")
[[ $role == rollout ]] || options+=(--gpus "${#gpus[@]}")

run=(apptainer --silent exec --nv --pid --env "TMPDIR=$temporary" "${binds[@]}" "$image" rl "$role" "${options[@]}" "$@")
status=0
if [[ $role == head ]]; then
    # The head's words are the job's.
    "${run[@]}" > >(tee -a "$log") 2>&1 || status=$?
else
    "${run[@]}" >>"$log" 2>&1 || status=$?
fi
# While the job forms, the head looks for this, and waits no longer.
: >"${log%.log}.ended"
exit "$status"
