#!/bin/bash
# An initial model as a job of SLURM: sbatch packaging/slurm.sh PARTICLES FOLDER [options of ini3d run]
# Submitted again with the same folder, it resumes the run.
#SBATCH --job-name=ini3d
#SBATCH --nodes=1
#SBATCH --ntasks=1
#SBATCH --cpus-per-task=16
#SBATCH --mem=32G
#SBATCH --time=04:00:00
#SBATCH --signal=B:TERM@300
#SBATCH --output=ini3d-%j.log
# For a GPU add: #SBATCH --gres=gpu:1

particles=${1:?the STAR or .cs file of the particles}
folder=${2:?the folder of the run}
shift 2

# SIGTERM comes 300 s before the end of the time: the run ends after the current iteration.
stop() { kill -TERM $(jobs -p); }  # not $job, which is set a moment later
trap stop TERM

if [ -e "$folder/checkpoint.npz" ]; then
    ini3d resume "$folder" &
else
    ini3d run "$particles" --output "$folder" --threads "${SLURM_CPUS_PER_TASK:-0}" \
        ${TMPDIR:+--scratch "$TMPDIR"} "$@" &
fi
job=$!
status=0
wait "$job" || status=$?
# A trap ends the first wait; the second one waits for the run to end.
if kill -0 "$job" 2> /dev/null; then
    status=0
    wait "$job" || status=$?
fi
exit "$status"
