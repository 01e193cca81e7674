# shellcheck shell=bash
# How an image is started, and what it sees beside home and /tmp. Sourced by all that starts one in a job, or from a login node.

# binds::rl IMAGE ARGUMENTS...: call `rl` in an image that sees `binds`; one sentence where Apptainer cannot.
binds::rl() {
    local -r image=$1
    shift
    local said status=0
    { said=$(apptainer --silent exec ${binds[@]+"${binds[@]}"} "$image" rl "$@" 2>&1 >&3) || status=$?; } 3>&1
    ((status != 255)) || binds::refuse "image $image cannot run \`rl\`: ${said##*FATAL:   }; \`make images\` builds images that can, RL_IMAGE and RL_IMAGE_GPU name them"
    [[ -z $said ]] || printf '%s\n' "$said" >&2 || true
    return "$status"
}

# binds::set FOLDERS...: `binds`, Apptainer's options for those of the folders that are there, and for RL_BIND's.
binds::set() {
    binds=()
    local folder inside how
    for folder in "$@"; do
        [[ -d $folder ]] || continue
        if [[ $folder == *[:,]* ]]; then
            binds::refuse "$folder has a colon or a comma in its path, by which Apptainer separates folders; rename it"
        fi
        binds::allow "$folder"
        binds+=(--bind "$folder")
    done
    [[ -n ${RL_BIND:-} ]] || return 0
    local -a asked
    IFS=, read -ra asked <<<"$RL_BIND"
    for folder in ${asked[@]+"${asked[@]}"}; do
        if [[ $folder != /* || ! -e ${folder%%:*} ]]; then
            binds::refuse "RL_BIND has '$folder', and ${folder%%:*} is no folder of $(hostname); it must be as in RL_BIND=/scratch,/data:/mnt"
        fi
        IFS=: read -r _ inside how <<<"$folder"
        if [[ $folder == *:* && $inside != /* ]]; then
            binds::refuse "RL_BIND has '$folder', and '$inside' is no absolute path of the image; it must be as in RL_BIND=/scratch,/data:/mnt"
        fi
        if [[ $how && ! $how =~ ^(ro|rw|id=.*|image-src=.*)$ ]]; then
            binds::refuse "RL_BIND has '$folder', and '$how' is neither ro nor rw; it must be as in RL_BIND=/scratch,/data:/mnt:ro"
        fi
        binds::allow "${inside:-$folder}"
        binds+=(--bind "$folder")
    done
}

# binds::allow FOLDER: refuse one that would hide what the image has of its own, but for the package as a developer has it.
binds::allow() {
    [[ $1 != /opt/rl/lib/python*/site-packages/rlsif ]] || return 0
    if [[ ${1%%:*} == /opt || ${1%%:*} == /opt/ || ${1%%:*}/ == /opt/rl/* ]]; then
        binds::refuse "folder ${1%%:*} cannot be seen in the image, which has its own /opt/rl; use another folder, or bind it elsewhere as in RL_BIND=/opt/data:/mnt"
    fi
}

binds::refuse() {
    echo "error: $1" >&2
    exit 2
}
