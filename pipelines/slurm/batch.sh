#!/bin/bash
# One date of a pipeline on Slurm, on a Ray cluster of its own nodes.
#   sbatch --job-name=NAME pipelines/slurm/batch.sh NAME [DATE] [OVERRIDES...]
# By the calendar, in scrontab -e (date -I, since a % ends a line there):
#   17 1 * * * cd "$HOME/bayesrun" && PATH="$PWD/.venv/bin:$PATH" sbatch --job-name=nightly_calibration --time=02:00:00 pipelines/slurm/batch.sh nightly_calibration "$(date -I)"
#   43 2 * * 0 cd "$HOME/bayesrun" && PATH="$PWD/.venv/bin:$PATH" sbatch --job-name=weekly_recovery pipelines/slurm/batch.sh weekly_recovery "$(date -I)"
# OUTPUT is the folder of the studies, which all nodes share (default: studies in the folder of submission).
#SBATCH --job-name=bayesrun
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --time=04:00:00
#SBATCH --requeue
# symmetric-run ends in `ray stop`, which stops every Ray of this user on the node: no other job may be there
#SBATCH --exclusive
set -euo pipefail
if [ $# -lt 1 ]; then
    echo "usage: batch.sh NAME [DATE] [OVERRIDES...]; bayesrun pipeline list shows the names" >&2
    exit 2
fi

name=$1
date=${2:-$(date -I)}
shift $(($# < 2 ? $# : 2))
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
