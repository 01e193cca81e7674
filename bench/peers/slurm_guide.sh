#!/usr/bin/env bash
# The peer: a cluster by the scripts of Ray's guide for Slurm, one `srun` after the other, with its sleeps; in the same image.
#   sbatch --nodes=N slurm_guide.sh IMAGE FIRST_ITERATION_PY
#
#SBATCH --output=rl-%j.out
#SBATCH --ntasks-per-node=1 --cpus-per-task=1
set -euo pipefail
started=$EPOCHREALTIME
image=$1 script=$2

mapfile -t nodes < <(scontrol show hostnames "$SLURM_JOB_NODELIST")
# The guide takes what `hostname --ip-address` says, which is a loopback address where names are as Debian has them.
address=$(ip -4 -o addr show eth0 | awk '{ sub("/.*", "", $4); print $4 }')
one=(--nodes=1 --ntasks=1)

srun "${one[@]}" -w "${nodes[0]}" apptainer exec "$image" \
    ray start --head --node-ip-address="$address" --port=6379 --num-cpus "$SLURM_CPUS_PER_TASK" --block &
sleep 10
for node in "${nodes[@]:1}"; do
    srun "${one[@]}" -w "$node" apptainer exec "$image" \
        ray start --address "$address:6379" --num-cpus "$SLURM_CPUS_PER_TASK" --block &
    sleep 5
done
apptainer exec --bind "${script%/*}" "$image" python -u "$script" "$address:6379" "${#nodes[@]}" "$started"
