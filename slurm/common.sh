# shellcheck shell=bash
# What the sbatch scripts share. Sourced with RL_ROOT, the checkout, and RL_STARTED set.
# Bash runs Slurm's commands and waits; `rl`, in the image, reads what they print and decides. Its answers are variables.
# shellcheck disable=SC2154

# shellcheck source=slurm/binds.sh
. "$RL_ROOT/slurm/binds.sh"

# Knobs, set in the environment of sbatch.
RL_IMAGE=${RL_IMAGE:-$RL_ROOT/rl.sif}              # image of nodes without GPUs
RL_IMAGE_GPU=${RL_IMAGE_GPU:-$RL_ROOT/rl-gpu.sif}  # image of a learner with GPUs
RL_RUNS_GIVEN=${RL_RUNS:-}
RL_RUNS=${RL_RUNS:-$PWD/runs}                     # gets a folder a job; on a disk that all nodes see
[[ $RL_RUNS == /* ]] || RL_RUNS=$PWD/$RL_RUNS
RL_BIND=${RL_BIND:-}                               # more folders to see inside, as /scratch,/data:/mnt
RL_INTERFACE=${RL_INTERFACE:-}                     # network between the nodes, as ib0 or hsn0
RL_WAIT=${RL_WAIT:-300}                            # seconds for all nodes to come up
RL_DASHBOARD=${RL_DASHBOARD:-}                     # 1: Ray's dashboard; the job's output says how to open it
RL_MAX_REQUEUES=${RL_MAX_REQUEUES:-}               # how often the job may be requeued; empty: no limit

RL_RESTART_COUNT=${SLURM_RESTART_COUNT:-0}
# srun would put its own node into SLURM_SUBMIT_HOST.
RL_LOGIN=$(id -un)@${SLURM_SUBMIT_HOST:-$(hostname)}
# After the head has ended, the other nodes have so many seconds; they want one or two, and more while they start.
readonly SECONDS_TO_END=30
# slurmctld may be restarted while a job needs it.
readonly SECONDS_WITHOUT_CONTROLLER=120

declare -A job_steps=()
# How often Slurm has warned of the end of the job.
warnings=0
# When the job must be requeued whatever the run does, in seconds since the epoch; 0: never.
requeue_at=0

job::fail() {
    local -r message=$1
    echo "error: $message" >&2
    exit 2
}

# The job's output may be on a full disk; that is no reason to end.
job::say() {
    echo "$*" || true
}

# job::run SCRIPT ARGUMENTS...: the whole of a job, from its description to its end.
job::run() {
    local -r script=$1
    shift
    job::describe "$script"
    job::prepare
    local role
    for role in "${roles[@]}"; do
        if [[ $role == head ]]; then
            job::start head "$@"
        else
            job::start "$role"
        fi
    done
    job::wait
}

# job::ask SECONDS COMMAND...: have a command of Slurm's succeed, for so long; its words are in `answer`.
job::ask() {
    local -r deadline=$(($(date +%s) + $1))
    shift
    until answer=$("$@" 2>&1); do
        (($(date +%s) < deadline)) || return 1
        sleep 1
    done
}

# What Slurm knows of a job, with its times in seconds since the epoch.
job::show() {
    local -r job=$1
    SLURM_TIME_FORMAT=%s scontrol show job "$job"
}

# job::facts: what `rl` reads of this job, after `answer` of Slurm.
job::facts() {
    printf '%s\n\n== environment\n' "$answer"
    env
}

# job::image ARGUMENTS...: call `rl` in an image that can be read, where it sees what the roles see.
job::image() {
    local image=$RL_IMAGE
    [[ -r $image ]] || image=$RL_IMAGE_GPU
    local -a binds
    binds::set "$PWD" "$RL_RUNS"
    binds::rl "$image" "$@"
}

# job::describe SCRIPT: what this job has and starts, as variables.
job::describe() {
    local -r script=$1
    command -v apptainer >/dev/null || job::fail "apptainer is not on the PATH of node $(hostname); load its module before sbatch"
    [[ -r $RL_IMAGE || -r $RL_IMAGE_GPU ]] || job::unreadable "$RL_IMAGE"
    export RL_IMAGE RL_IMAGE_GPU RL_RUNS RL_RUNS_GIVEN RL_ROOT RL_WAIT RL_MAX_REQUEUES
    local described
    job::ask "$SECONDS_WITHOUT_CONTROLLER" job::show "$SLURM_JOB_ID" || job::fail "$answer"
    described=$({
        printf '%s\n\n' "$answer"
        if [[ -n ${RL_LENT_TO+given} ]]; then
            printf '== other\n'
            job::show "$RL_LENT_TO" 2>/dev/null || true
        fi
        printf '\n== config\n'
        scontrol show config 2>/dev/null || true
        printf '\n== environment\n'
        env
    } | job::image allocation --script "$script") || exit
    eval "$described"
}

job::unreadable() {
    job::fail "image $1 is not there or cannot be read; \`make images\` builds it, RL_IMAGE and RL_IMAGE_GPU name others"
}

# Check the images and make the job's folder, which only its user can enter.
job::prepare() {
    local image
    for image in "${images[@]}"; do
        [[ -r $image ]] || job::unreadable "$image"
    done
    job::compare "${images[@]}"
    umask 077
    mkdir -p "$RL_JOB" 2>/dev/null || job::fail "folder $RL_JOB cannot be made; RL_RUNS names another place"
    [[ -O $RL_JOB ]] || job::fail "$RL_JOB is another user's; RL_RUNS names a folder of your own"
    chmod 700 "$RL_JOB"
    rm -f "${of_a_start[@]}" "$RL_OVER"*
    # Slurm may use a number again, once it has forgotten the job that had it.
    ((RL_RESTART_COUNT)) || rm -rf "${of_the_job[@]}" "$stop_file" "$RL_LOGS".*
    # Its user may have stopped it while it ended, or was on its way here.
    [[ ! -s $stop_file ]] || job::stopped
    rm -f "$stop_file"
    ((RL_RESTART_COUNT == 0)) || job::facts | job::image begin --folder "$RL_JOB" || exit 1
    [[ ! -d $RL_LOGS ]] || mv "$RL_LOGS" "$RL_LOGS.$((RL_RESTART_COUNT - 1))"
    mkdir "$RL_LOGS"
    printf '%s\n' "${images[0]}" >"$image_file" || job::say "warning: $image_file cannot be written, so that no nodes can be lent to the job"
    job::export
    job::say "job $SLURM_JOB_ID, logs and rendezvous in $RL_JOB"
    trap job::warned USR1
    [[ ! ${warned:-} ]] || job::warned
    trap job::cancelled TERM
}

# What role.sh reads on each node.
job::export() {
    export RL_IMAGE RL_IMAGE_GPU RL_RUNS RL_BIND RL_INTERFACE RL_WAIT RL_DASHBOARD
    export RL_JOB RL_LOGS RL_LOG_SUFFIX RL_ENDED_SUFFIX RL_OVER RL_RESTART_COUNT RL_STARTED RL_ROOT RL_LOGIN RL_LENT_BY
    # Those of the first group, which srun would take for every group.
    unset SLURM_CPUS_PER_TASK SLURM_TRES_PER_TASK SLURM_MEM_PER_CPU SLURM_MEM_PER_GPU SLURM_MEM_PER_NODE
    # Of an srun that sbatch was typed in; our steps say for themselves.
    unset SLURM_CPU_BIND SLURM_CPU_BIND_LIST SLURM_CPU_BIND_TYPE SLURM_CPU_BIND_VERBOSE
}

# job::lend JOB: lend this job's nodes to another one of the same user.
job::lend() {
    export RL_LENT_TO=$1
    job::describe rollout
    [[ -r $image_file ]] || job::fail "job $RL_LENT_TO has no folder $RL_JOB that can be read: it has not begun, or RL_RUNS is not what it was for it"
    [[ -r $RL_IMAGE ]] || job::unreadable "$RL_IMAGE"
    job::compare "$(<"$image_file")" "$RL_IMAGE"
    umask 077
    # Of the job that is helped, any start will do.
    RL_RESTART_COUNT=0
    # What is bound for its env runners is for these, too.
    cd "$lent_from" || job::fail "node $(hostname) does not see $lent_from, where job $RL_LENT_TO was submitted"
    job::export
    trap job::cancelled TERM
    job::say "job $SLURM_JOB_ID lends its nodes to job $RL_LENT_TO; their logs are in $RL_JOB"
    job::start rollout
    wait "${job_steps[rollout]}"
}

# job::compare FIRST SECOND: fail where the processes of two images would not understand each other.
job::compare() {
    local -r first=$1 second=${2:-$1}
    [[ $first != "$second" ]] || return 0
    local one other
    one=$(apptainer inspect --labels "$first" 2>/dev/null) || job::fail "$first is not an image that apptainer can read"
    other=$(apptainer inspect --labels "$second" 2>/dev/null) || job::fail "$second is not an image that apptainer can read"
    printf '%s\n== second\n%s\n' "$one" "$other" | job::image alike --first "$first" --second "$second" || exit
}

# job::start ROLE ARGUMENTS...: one task on each node of the step, in the background.
job::start() {
    local -r role=$1
    local -r words="step_${role}[@]"
    shift
    srun "${!words}" "$@" &
    job_steps[$role]=$!
}

# Slurm warns of the end of the job: the head ends the run at the next iteration, with a checkpoint.
job::warned() {
    warnings=$((warnings + 1))
    # What is in it may already say that the job is to end for good.
    : >>"$stop_file" || job::say "warning: $stop_file cannot be written"
}

# Slurm ends the job, and with it the steps that it knows of; one that starts just now looks for the file.
job::cancelled() {
    trap '' TERM
    : >"$RL_OVER" || true
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
        ((warnings == 0)) || job::deadline
        if ((requeue_at)); then
            job::wait_until "$requeue_at" "$head" || [[ -s $stop_file ]] || job::requeue "the iteration in progress takes too long"
        fi
        status=0
        wait "$head" || status=$?
    done
    unset "job_steps[head]"
    job::end
    ((status != REQUEUE)) || job::requeue "the run was interrupted with a checkpoint"
    ((status == 0)) || echo "job $SLURM_JOB_ID failed with exit code $status; logs are in $RL_LOGS" >&2 || true
    exit "$status"
}

# The run was stopped for good; whoever starts this job once more does not want to hear it again.
job::stopped() {
    job::say "job $SLURM_JOB_ID was stopped; its run can be resumed by --resume"
    rm -f "$stop_file" || true
    exit 0
}

# Learn when Slurm ends the job, which it may have changed since the start, and by when it must be requeued.
job::deadline() {
    local said
    requeue_at=$ask_by
    if job::ask "$SECONDS_TO_END" job::show "$SLURM_JOB_ID" && said=$(job::facts | job::image warning); then
        eval "$said"
    fi
    local at=
    ((job_end == 0)) || at=" at $(date -d "@$job_end" +%FT%T)"
    job::say "Slurm warns of the end of the job$at; the run is interrupted after the iteration in progress"
}

# job::wait_until TIME PID: wait for a process; false where it still runs at that time, in seconds since the epoch.
job::wait_until() {
    local -r time=$1 pid=$2
    while kill -0 "$pid" 2>/dev/null; do
        (($(date +%s) < time)) || return 1
        sleep 0.2
    done
}

# Have Slurm start the job again, where the run resumes from its last checkpoint; or say why not.
job::requeue() {
    local -r why=$1
    [[ ! -s $stop_file ]] || job::stopped
    # Slurm ends this script and all steps once it has taken the job back.
    trap '' TERM
    answer=
    job::ask "$SECONDS_TO_END" job::show "$SLURM_JOB_ID" || true
    # Where not even the image answers, a requeue is better than none.
    local may=1 message="$why: job $SLURM_JOB_ID is to be requeued" by_hand="look for its run" said
    if said=$(job::facts | job::image requeue --folder "$RL_JOB" --why "$why"); then
        eval "$said"
    fi
    if ((may == 0)); then
        echo "error: $message" >&2 || true
        exit 1
    fi
    local job=$SLURM_JOB_ID
    # The number of an array's first task stands for all of them.
    [[ -z ${SLURM_ARRAY_JOB_ID:-} ]] || job=${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID
    # It may have been stopped in the meantime. From here on the next start looks for that.
    [[ ! -s $stop_file ]] || job::stopped
    # Slurm may read the question after scontrol has given up waiting for the answer, and then ends this script.
    job::say "$message"
    if job::ask "$SECONDS_WITHOUT_CONTROLLER" scontrol requeue "$job"; then
        exit 0
    fi
    echo "error: $why, but Slurm does not requeue job $job: ${answer##*error: }; $by_hand" >&2 || true
    exit 1
}

# Let the other steps end by themselves, or end them.
job::end() {
    local -r deadline=$(($(date +%s) + SECONDS_TO_END))
    : >"$RL_OVER" || true
    local pid
    for pid in ${job_steps[@]+"${job_steps[@]}"}; do
        job::wait_until "$deadline" "$pid" || kill -TERM "$pid" 2>/dev/null || true
    done
    wait || true
}
