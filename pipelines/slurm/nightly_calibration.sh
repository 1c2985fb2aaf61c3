#!/bin/bash
# The nightly calibration on Slurm, on a Ray cluster of its own nodes.
#   sbatch pipelines/slurm/nightly_calibration.sh [DATE] [OVERRIDES...]
# By the calendar, in scrontab -e (date -I, since a % ends a line there):
#   17 1 * * * cd "$HOME/bayesrun" && PATH="$PWD/.venv/bin:$PATH" sbatch pipelines/slurm/nightly_calibration.sh "$(date -I)"
# OUTPUT is the folder of the studies, which all nodes share (default: studies in the folder of submission).
#SBATCH --job-name=nightly_calibration
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --time=02:00:00
#SBATCH --requeue
# symmetric-run ends in `ray stop`, which stops every Ray of this user on the node: no other job may be there
#SBATCH --exclusive
set -euo pipefail

name=nightly_calibration
date=${1:-$(date -I)}
shift || true
output=$(realpath -m "${OUTPUT:-studies}")
mark=$output/$name/$date/done.json
run=(bayesrun pipeline run "$name" --date "$date" dispatch.address=auto "output.dir=$output" "$@")

if [ ! -f "$mark" ]; then # no cluster is started for a date that is finished
    ray get-auth-token --generate >/dev/null # in the home folder, which the nodes share
    export RAY_AUTH_MODE=token
    nodes=$(scontrol show hostnames "$SLURM_JOB_NODELIST")
    head=${nodes%%$'\n'*}
    # Its exit code says nothing: it is 0 if Ray did not start, and workers end with that of `ray stop`
    srun --nodes="$SLURM_JOB_NUM_NODES" --ntasks="$SLURM_JOB_NUM_NODES" \
        ray symmetric-run --address "$head:6379" --min-nodes "$SLURM_JOB_NUM_NODES" -- "${run[@]}" || true
fi
if [ ! -f "$mark" ]; then
    echo "$name $date: the study is not finished: there is no $mark; submit it again, and it goes on from there." >&2
    exit 2
fi
exec "${run[@]}" # a finished date: says its verdict, and exits with its code
