# shellcheck shell=bash
# What an image sees beside home and /tmp. Sourced by all that starts one in a job, or from a login node.

# binds::set FOLDERS...: `binds`, Apptainer's options for those of the folders that are there, and for RL_BIND's.
binds::set() {
    binds=()
    local folder
    for folder in "$@"; do
        [[ ! -d $folder ]] || binds+=(--bind "$folder")
    done
    [[ -n ${RL_BIND:-} ]] || return 0
    local -a asked
    IFS=, read -ra asked <<<"$RL_BIND"
    for folder in ${asked[@]+"${asked[@]}"}; do
        if [[ $folder != /* || ! -e ${folder%%:*} ]]; then
            echo "error: RL_BIND has '$folder', and ${folder%%:*} is no folder of $(hostname); it must be as in RL_BIND=/scratch,/data:/mnt" >&2
            exit 2
        fi
        binds+=(--bind "$folder")
    done
}
