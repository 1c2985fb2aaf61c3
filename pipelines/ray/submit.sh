#!/bin/sh
# One date of a pipeline as a job of a running Ray cluster, which needs ray[default].
#   pipelines/ray/submit.sh NAME DATE OUTPUT [OVERRIDES...]
# OUTPUT is absolute and shared by the nodes: a job does not run in the folder of its submission.
# The cluster is that of RAY_API_SERVER_ADDRESS (default: http://127.0.0.1:8265).
# It exits with 0 if the study is within its bounds and with 1 if not, or if there is no verdict: Ray keeps no more of an
# exit code. A date that was submitted before is refused by its submission id.
set -eu
if [ $# -lt 3 ] || [ "${3#/}" = "$3" ]; then
    echo "usage: submit.sh NAME DATE OUTPUT [OVERRIDES...], with an absolute OUTPUT" >&2
    exit 2
fi
name=$1 date=$2 output=$3
shift 3
export RAY_API_SERVER_ADDRESS="${RAY_API_SERVER_ADDRESS:-http://127.0.0.1:8265}"
ray job submit --submission-id "$name-$date" -- \
    bayesrun pipeline run "$name" --date "$date" dispatch.address=auto "output.dir=$output" "$@"
# a job that was stopped, or lost sight of, counts as submitted well
ray job status "$name-$date" | grep "' succeeded" >/dev/null
