#!/usr/bin/env bash
# Runs on each node of a step: looks up what Slurm gave it here, and starts the role in its image.
#   role.sh ROLE IMAGE ROLE_OPTIONS...
set -euo pipefail
# shellcheck source=slurm/binds.sh
. "$RL_ROOT/slurm/binds.sh"

role=$1 image=$2
shift 2
node=${SLURMD_NODENAME:-$(hostname -s)}
log=$RL_LOGS/$node/$role$RL_LENT_BY$RL_LOG_SUFFIX
umask 077
mkdir -p "${log%/*}"
# The head's words are the job's.
[[ $role == head ]] || exec >>"$log" 2>&1

# Slurm ends every process of the step; this one and Apptainer wait for what is inside. Ray ends the role's process at
# once when its own are killed, so that its folder is removed here. While the job forms, the head looks for the file of
# this start; a role of an earlier one may still be ending.
temporary=
role::ended() {
    # A process that is being killed may still write there.
    local -r give_up=$((SECONDS + 10))
    until rm -rf ${temporary:+"$temporary"} || ((SECONDS > give_up)); do sleep 0.2; done
    echo "$RL_RESTART_COUNT" >"${log%"$RL_LOG_SUFFIX"}$RL_ENDED_SUFFIX" || true
}
trap role::ended EXIT
trap '' TERM

# Slurm notices the death of a node when the node has not answered for some minutes.
readonly SECONDS_TO_NOTICE=1800 SECONDS_BETWEEN_QUESTIONS=15

# role::abandoned: where the node of the batch script has failed, this one has the job requeued; else nobody would.
role::abandoned() {
    local said answer lost='' may=0 message='' output=''
    said=$(scontrol show job "$SLURM_JOB_ID" 2>/dev/null) || return 0
    answer=$({
        printf '%s\n\n== environment\n' "$said"
        env
    } | apptainer --silent exec ${binds[@]+"${binds[@]}"} "$image" rl abandoned --folder "$RL_JOB") || return 0
    eval "$answer"
    [[ -n $lost ]] || return 0
    if ((may)) && scontrol requeue "${SLURM_ARRAY_JOB_ID:+${SLURM_ARRAY_JOB_ID}_}${SLURM_ARRAY_TASK_ID:-$SLURM_JOB_ID}"; then
        trap '' TERM
        echo "$message" | tee -a "$output"
    elif ((may == 0)); then
        echo "error: $message" | tee -a "$output"
        scancel "$SLURM_JOB_ID"
    fi
}

# role::wait_for_the_job: the role has failed. As a rule its job is over, or about to be.
role::wait_for_the_job() {
    local -r give_up=$((SECONDS + SECONDS_TO_NOTICE))
    local ask=$((SECONDS + SECONDS_BETWEEN_QUESTIONS))
    trap 'exit 143' TERM
    until [[ -e $RL_OVER ]] || ((SECONDS > give_up)); do
        sleep 1
        if ((SECONDS > ask)); then
            role::abandoned
            ask=$((SECONDS + SECONDS_BETWEEN_QUESTIONS))
        fi
    done
}

# Preloaded libraries of the site are not those of the image; every Ray worker needs open files.
unset LD_PRELOAD
ulimit -n "$(ulimit -Hn)"
ulimit -c 0

# For Ray and all temporary files: on this node, closed to others, and short, for sockets' paths end at 107 bytes.
# The login node's TMPDIR need not be here.
parent=${SLURM_TMPDIR:-${TMPDIR:-/tmp}}
[[ ${#parent} -le 24 && -d $parent && -w $parent ]] || parent=/tmp
temporary=$(mktemp -d "$parent/rl-XXXXXXXX")

binds::set "$RL_RUNS" "$PWD" "$parent"
options=(--job "$RL_JOB" --temporary "$temporary" --node "$node" --cpus "$SLURM_CPUS_ON_NODE" --restart-count "$RL_RESTART_COUNT"
    --mem-per-node "${SLURM_MEM_PER_NODE:-}" --mem-per-cpu "${SLURM_MEM_PER_CPU:-}"
    --interface "$RL_INTERFACE" --wait "$RL_WAIT" --until "$RL_OVER")
[[ $role != head ]] || options+=(--started "$RL_STARTED")
[[ $role != head || -z $RL_DASHBOARD ]] || options+=(--dashboard-by "$RL_LOGIN")
[[ $role == rollout ]] || options+=(--visible-gpus "${CUDA_VISIBLE_DEVICES:-}")

run=(apptainer --silent exec --nv --pid --env "TMPDIR=$temporary" ${binds[@]+"${binds[@]}"} "$image" rl "$role" "${options[@]}" "$@")
if [[ $role == head ]]; then
    status=0
    # The exit code is the head's, also where a disk is full and its words are lost.
    "${run[@]}" 2>&1 | { tee -a "$log" || cat >/dev/null; } || status=${PIPESTATUS[0]}
    exit "$status"
fi
status=0
"${run[@]}" || status=$?
# By a signal where Slurm ends it.
if ((status && status < 128)) && [[ -z $RL_LENT_BY ]]; then
    role::ended
    role::wait_for_the_job
fi
exit "$status"
