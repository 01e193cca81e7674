# shellcheck shell=bash
# What the sbatch scripts share. Sourced with RL_ROOT, the checkout, and RL_STARTED set.

# Knobs, set in the environment of sbatch, as absolute paths.
RL_IMAGE=${RL_IMAGE:-$RL_ROOT/rl.sif}              # image of nodes without GPUs
RL_IMAGE_GPU=${RL_IMAGE_GPU:-$RL_ROOT/rl-gpu.sif}  # image of a learner with GPUs
RL_RUNS_GIVEN=${RL_RUNS:-}
RL_RUNS=${RL_RUNS:-$PWD/runs}                     # gets a folder a job; on a disk that all nodes see
RL_BIND=${RL_BIND:-}                               # more folders to see inside, as /scratch,/data:/mnt
RL_INTERFACE=${RL_INTERFACE:-}                     # network between the nodes, as ib0 or hsn0
RL_WAIT=${RL_WAIT:-300}                            # seconds for all nodes to come up
RL_DASHBOARD=${RL_DASHBOARD:-}                     # 1: Ray's dashboard; the job's output says how to open it

RL_JOB=$RL_RUNS/$SLURM_JOB_ID
RL_LIFE=${SLURM_RESTART_COUNT:-0}
# srun would put its own node into SLURM_SUBMIT_HOST.
RL_LOGIN=$(id -un)@${SLURM_SUBMIT_HOST:-$(hostname)}
# In the names of logs: empty for the nodes of the job itself.
RL_LENT_BY=
# The run that was asked to make way can go on: `train` says so by this exit code.
readonly GO_ON_LATER=75
# After the head has ended, the other nodes have so many seconds; they want one or two, and more while they start.
readonly SECONDS_TO_END=30
# To be queued again a job must ask while it still has so many seconds.
readonly SECONDS_TO_REQUEUE=20

declare -A job_steps=()
# How often Slurm has warned of the end of the job.
warnings=0
# When the job must be queued again whatever the run does, in seconds since the epoch; 0: never.
requeue_at=0

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

# All CPU cores of a list as Slurm has it, "8(x2),16".
job::cpus() {
    local -r list=$1
    awk -v RS=, '{ split($0, part, /[(x)]+/); sum += part[1] * (part[2] ? part[2] : 1) } END { print sum + 0 }' <<<"$list"
}

# How many GPUs a node of a job, or of one group of it, was asked for: --gres, --gpus and their kin, without a number 1.
job::gpus() {
    local -r job=$1
    scontrol show job "$job" | awk '
        match($0, /TresPer[A-Z][a-z]*=[^ ]*gpu[^ ,]*/) {
            number = substr($0, RSTART, RLENGTH)
            sub(/.*[:=]/, "", number)
            gpus = number ~ /^[0-9]+$/ ? number : 1
        }
        END { print gpus + 0 }'
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
    mkdir -p "$RL_JOB"
    [[ -O $RL_JOB ]] || job::fail "$RL_JOB is another user's; RL_RUNS names a folder of your own"
    chmod 700 "$RL_JOB"
    rm -f "$RL_JOB"/{cluster.json,token,stop,over*}
    # Slurm may use a number again, once it has forgotten the job that had it.
    ((RL_LIFE)) || rm -rf "$RL_JOB"/{run,logs,logs.*}
    [[ ! -d $RL_JOB/logs ]] || mv "$RL_JOB/logs" "$RL_JOB/logs.$((RL_LIFE - 1))"
    mkdir "$RL_JOB/logs"
    printf '%s\n' "$1" >"$RL_JOB/image"
    job::export
    echo "job $SLURM_JOB_ID, logs and rendezvous in $RL_JOB"
    trap job::warned USR1
    trap job::cancelled TERM
}

# What role.sh reads on each node.
job::export() {
    export RL_IMAGE RL_IMAGE_GPU RL_RUNS RL_BIND RL_INTERFACE RL_WAIT RL_DASHBOARD
    export RL_JOB RL_LIFE RL_STARTED RL_ROOT RL_LOGIN RL_LENT_BY
    # Those of the first group, which srun would take for every group.
    unset SLURM_CPUS_PER_TASK SLURM_TRES_PER_TASK SLURM_MEM_PER_CPU SLURM_MEM_PER_GPU SLURM_MEM_PER_NODE
}

# job::help JOB: lend this job's nodes to another one of the same user.
job::help() {
    local -r other=$1
    [[ $other =~ ^[0-9]+$ ]] || job::fail "${other:-nothing} is not the number of a job; as in \`sbatch slurm/rollout.sh 123\`"
    local said from state
    said=$(scontrol show job "$other" 2>/dev/null) || job::fail "Slurm does not know job $other; \`squeue --me\` lists yours"
    state=$(sed -n '0,/JobState=/s/^ *JobState=\([A-Z_]*\).*/\1/p' <<<"$said")
    [[ $state == RUNNING ]] || job::fail "job $other is $state; nodes can be lent to a job that is RUNNING"
    from=$(sed -n '0,/ WorkDir=/s/^ *WorkDir=//p' <<<"$said")
    [[ -n $RL_RUNS_GIVEN ]] || RL_RUNS=$from/runs
    RL_JOB=$RL_RUNS/$other
    [[ -r $RL_JOB/image ]] || job::fail "job $other has no folder $RL_JOB that can be read: it has not begun, or RL_RUNS is not what it was for it"
    [[ -r $RL_IMAGE ]] || job::fail "image $RL_IMAGE is not there or cannot be read; RL_IMAGE names another"
    job::compare "$(<"$RL_JOB/image")" "$RL_IMAGE"
    umask 077
    RL_LENT_BY=-$SLURM_JOB_ID
    # Of the job that is helped, any life will do.
    RL_LIFE=0
    # What is bound for its env runners is for these, too.
    cd "$from" || job::fail "node $(hostname) does not see $from, where job $other was submitted"
    job::export
    trap job::cancelled TERM
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
    # A site may have srun pass on no environment and start MPI. The death of a node is to end its own task alone.
    local -ra how=(--export=ALL --mpi=none --ntasks-per-node=1 --cpu-bind=none --overlap --unbuffered
        --no-kill --kill-on-bad-exit=0 --wait=0)
    srun "${where[@]}" "${how[@]}" "$RL_ROOT/slurm/role.sh" "$role" "$@" &
    job_steps[$role]=$!
}

# Slurm warns of the end of the job: the head ends the run at the next iteration, with a checkpoint.
job::warned() {
    local end seconds
    end=$(scontrol show job "$SLURM_JOB_ID" | sed -n '0,/EndTime=/s/.*EndTime=\([^ ]*\).*/\1/p')
    seconds=$(date -d "$end" +%s 2>/dev/null) && requeue_at=$((seconds - SECONDS_TO_REQUEUE))
    warnings=$((warnings + 1))
    echo "Slurm warns of the end of the job at $end; the run makes way after the next iteration"
    # What is in it may already say that the job is to end for good.
    : >>"$RL_JOB/stop"
}

# Slurm ends the job, and with it the steps that it knows of; one that starts just now looks for the file.
job::cancelled() {
    trap '' TERM
    : >"$RL_JOB/over$RL_LENT_BY"
    wait
    exit 143
}

# Wait for the head, which decides how the job ends, and then for the others.
job::wait() {
    local -r head=${job_steps[head]}
    local status=0 seen=-1
    # A trap interrupts `wait` while the head still runs.
    while ((seen != warnings)); do
        seen=$warnings
        if ((requeue_at)); then
            job::wait_until "$requeue_at" "$head" || [[ -s $RL_JOB/stop ]] || job::requeue "the iteration in progress takes too long"
        fi
        status=0
        wait "$head" || status=$?
    done
    unset "job_steps[head]"
    job::end
    if ((status == GO_ON_LATER)) && [[ -s $RL_JOB/stop ]]; then
        echo "job $SLURM_JOB_ID was stopped; its run can be gone on with by --resume"
        exit 0
    fi
    ((status != GO_ON_LATER)) || job::requeue "the run has made way"
    if ((status != 0)); then
        echo "job $SLURM_JOB_ID failed with exit code $status; logs are in $RL_JOB/logs" >&2
    fi
    exit "$status"
}

# job::wait_until TIME PID: wait for a process; false where it still runs at that time, in seconds since the epoch.
job::wait_until() {
    local -r time=$1 pid=$2
    while kill -0 "$pid" 2>/dev/null; do
        (($(date +%s) < time)) || return 1
        sleep 0.2
    done
}

# Have Slurm start the job again, where the run goes on from its last checkpoint.
job::requeue() {
    local -r why=$1
    # Slurm ends this script and all steps once it has taken the job back.
    trap '' TERM
    local job=$SLURM_JOB_ID
    # The number of an array's first task stands for all of them.
    [[ -z ${SLURM_ARRAY_JOB_ID:-} ]] || job=${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID
    if scontrol requeue "$job"; then
        echo "$why: job $SLURM_JOB_ID is queued again and goes on from its checkpoint"
        exit 0
    fi
    echo "error: $why, but this job cannot be queued again; go on by \`--resume $(cat "$RL_JOB/run" 2>/dev/null)\` in a new one" >&2
    exit 1
}

# Let the other steps end by themselves, or end them.
job::end() {
    local -r deadline=$(($(date +%s) + SECONDS_TO_END))
    : >"$RL_JOB/over"
    local pid
    for pid in "${job_steps[@]}"; do
        job::wait_until "$deadline" "$pid" || kill -TERM "$pid" 2>/dev/null || true
    done
    wait
}
