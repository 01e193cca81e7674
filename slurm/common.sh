# shellcheck shell=bash
# What the sbatch scripts share. Sourced with RL_ROOT, the checkout, and RL_STARTED set.

# Knobs, set in the environment of sbatch, as absolute paths.
RL_IMAGE=${RL_IMAGE:-$RL_ROOT/rl.sif}              # image of head and rollout nodes
RL_IMAGE_GPU=${RL_IMAGE_GPU:-$RL_ROOT/rl-gpu.sif}  # image of the learner in hetjob.sh
RL_RUNS_GIVEN=${RL_RUNS:-}
RL_RUNS=${RL_RUNS:-$PWD/runs}                     # gets a folder a job; on a disk that all nodes see
RL_BIND=${RL_BIND:-}                               # more folders to see inside, as /scratch,/data:/mnt
RL_INTERFACE=${RL_INTERFACE:-}                     # network between the nodes, as ib0 or hsn0
RL_WAIT=${RL_WAIT:-300}                            # seconds for all nodes to come up
RL_DASHBOARD=${RL_DASHBOARD:-}                     # 1: Ray's dashboard; the job's output says how to open it

RL_JOB=$RL_RUNS/$SLURM_JOB_ID
RL_LIFE=${SLURM_RESTART_COUNT:-0}
# srun would put its own node into SLURM_SUBMIT_HOST.
RL_LOGIN=$USER@$SLURM_SUBMIT_HOST
# In the names of logs: empty for the nodes of the job itself.
RL_LENT_BY=
export RL_IMAGE RL_IMAGE_GPU RL_RUNS RL_BIND RL_INTERFACE RL_WAIT RL_DASHBOARD
export RL_JOB RL_LIFE RL_STARTED RL_ROOT RL_LOGIN RL_LENT_BY
# The run that was asked to make way can go on: `train` says so by this exit code.
readonly GO_ON_LATER=75
# After the head has ended, the other nodes have so many seconds; they want one or two, and more while they start.
readonly SECONDS_TO_END=30

declare -A job_steps=()
wait_was_interrupted=0

job::fail() {
    local -r message=$1
    echo "error: $message" >&2
    exit 2
}

# The names in a node list, by blank.
job::names() {
    local -r list=$1
    scontrol show hostnames "$list" | paste -sd' '
}

# How many GPUs each node of a het group was asked for.
job::gpus() {
    local -r group=$1
    scontrol show job "$SLURM_JOB_ID+$group" |
        awk 'match($0, /TresPerNode=[^ ]*gpu[^ ,]*/) { n = substr($0, RSTART, RLENGTH); sub(/.*[:=]/, "", n) } END { print n + 0 }'
}

# Check the images and make the job's folder, which only its user can enter.
job::prepare() {
    local -ra given=("$@")
    command -v apptainer >/dev/null || job::fail "apptainer is not on the PATH of node $(hostname); load its module before sbatch"
    local image
    for image in "${given[@]}"; do
        [[ -r $image ]] || job::fail "image $image is not there or cannot be read; \`make images\` builds it, RL_IMAGE and RL_IMAGE_GPU name others"
    done
    job::compare "${given[@]}"
    umask 077
    mkdir -p "$RL_JOB/logs"
    rm -f "$RL_JOB"/{cluster.json,token,stop,over} "$RL_JOB"/logs/*/*.ended
    printf '%s\n' "$1" >"$RL_JOB/image"
    echo "job $SLURM_JOB_ID, logs and rendezvous in $RL_JOB"
    trap job::warned USR1
}

# job::help JOB: lend this job's nodes to another one of the same user.
job::help() {
    local -r other=$1
    [[ $other =~ ^[0-9]+$ ]] || job::fail "${other:-nothing} is not the number of a job; as in \`sbatch slurm/rollout.sh 123\`"
    local said from
    said=$(scontrol show job "$other" 2>/dev/null) || job::fail "Slurm does not know job $other; \`squeue --me\` lists yours"
    from=$(sed -n '0,/ WorkDir=/s/^ *WorkDir=//p' <<<"$said")
    [[ -n ${RL_RUNS_GIVEN:-} ]] || RL_RUNS=$from/runs
    RL_JOB=$RL_RUNS/$other
    [[ -r $RL_JOB/image ]] || job::fail "job $other has no folder $RL_JOB that can be read: it has not begun, or RL_RUNS is not what it was for it"
    [[ -r $RL_IMAGE ]] || job::fail "image $RL_IMAGE is not there or cannot be read; RL_IMAGE names another"
    job::compare "$(<"$RL_JOB/image")" "$RL_IMAGE"
    umask 077
    RL_LENT_BY=-$SLURM_JOB_ID
    echo "job $SLURM_JOB_ID lends its nodes to job $other; their logs are in $RL_JOB"
}

# Two images must have the same Python, Ray, TensorFlow and shared packages, or their processes don't understand each other.
job::compare() {
    local -r first=$1 second=${2:-$1}
    [[ $first != "$second" ]] || return 0
    local one other label
    one=$(apptainer inspect --labels "$first") || job::fail "$first is not an image that apptainer can read"
    other=$(apptainer inspect --labels "$second") || job::fail "$second is not an image that apptainer can read"
    for label in version.python version.ray version.tensorflow shared; do
        if [[ $(job::label "$label" <<<"$one") != "$(job::label "$label" <<<"$other")" ]]; then
            job::fail "$first has $label $(job::label "$label" <<<"$one") and $second has $(job::label "$label" <<<"$other"); build both from one checkout with \`make images\`"
        fi
    done
}

job::label() {
    local -r name=$1
    sed -n "s/^rlsif\.$name: //p"
}

# job::start ROLE SRUN_OPTIONS... -- IMAGE ROLE_OPTIONS...: one task on each node of the step, in the background.
job::start() {
    local -r role=$1
    shift
    local -a where=()
    while [[ $1 != -- ]]; do
        where+=("$1")
        shift
    done
    shift
    local -ra how=(--ntasks-per-node=1 --cpu-bind=none --overlap --kill-on-bad-exit=0 --wait=0 --unbuffered)
    srun "${where[@]}" "${how[@]}" "$RL_ROOT/slurm/role.sh" "$role" "$@" &
    job_steps[$role]=$!
}

# Slurm warns of the time limit: the head ends the run at the next iteration, with a checkpoint.
job::warned() {
    echo "Slurm warns of the end of the job; the run makes way after the next iteration"
    # What is in it may already say that the job is to end for good.
    : >>"$RL_JOB/stop"
    wait_was_interrupted=1
}

# Wait for the head, which decides how the job ends, and then for the others.
job::wait() {
    local -r head=${job_steps[head]}
    local status=0
    # A trap interrupts `wait` while the head still runs.
    while wait_was_interrupted=0 && status=0; do
        wait "$head" || status=$?
        ((wait_was_interrupted)) || break
    done
    unset "job_steps[head]"
    job::end
    if ((status == GO_ON_LATER)) && [[ -s $RL_JOB/stop ]]; then
        echo "job $SLURM_JOB_ID was stopped; its run can be gone on with by --resume"
        exit 0
    fi
    if ((status == GO_ON_LATER)); then
        echo "job $SLURM_JOB_ID is queued again and goes on from its checkpoint"
        scontrol requeue "$SLURM_JOB_ID"
        # Slurm ends this script.
        wait
    fi
    if ((status != 0)); then
        echo "job $SLURM_JOB_ID failed with exit code $status; logs are in $RL_JOB/logs" >&2
    fi
    exit "$status"
}

# Let the other steps end by themselves, or end them.
job::end() {
    local -r deadline=$((SECONDS + SECONDS_TO_END))
    : >"$RL_JOB/over"
    local pid
    for pid in "${job_steps[@]}"; do
        while kill -0 "$pid" 2>/dev/null && ((SECONDS < deadline)); do
            sleep 0.1
        done
        kill -TERM "$pid" 2>/dev/null || true
    done
    wait
}
