#!/bin/bash
# Annotates what has come since the last night; for cron on a login node:
#   30 22 * * *  PATH=/usr/bin:/bin VIDEOS=/data/videos RUNS=/data/runs /shared/abaw/pipelines/slurm/nightly.sh
# Prints a line: what the night's run came to, and one more for each run that a former night left unfinished. Exit
# code: 0 all done or nothing new; 3 some videos failed; 75 still at work; others: the line and RUN/merge.log give the reason.
set -euo pipefail
cd "$(dirname "$0")/../.."        # the checkout, or the package that pip installed
VIDEOS=${VIDEOS:?name the folder of videos}
RUNS=${RUNS:?name the folder of runs}  # a run a night is made there
SHARDS=${SHARDS:-16}
AT_ONCE=${AT_ONCE:-16}
PLAN=${PLAN:---pipeline pipelines/annotate.toml --device cpu}  # more options of abaw plan: --weights, --device cuda
TEMPLATE=${TEMPLATE:-}            # a list of frames: an MTL submission is written too
REPORT=${REPORT:-}                # anything: a report is written too, RUN/report/index.html
TRIES=${TRIES:-3}                 # rounds of what nodes and time limits left undone
# As in annotate.sbatch.
if [ -n "${ABAW_IMAGE:-}" ]; then
  abaw=(apptainer exec "$ABAW_IMAGE" abaw)
elif [ -n "${ABAW:-}" ]; then
  abaw=("$ABAW")
else
  abaw=("$PWD/target/release/abaw")
  [ -x "${abaw[0]}" ] || abaw=(abaw)
fi

mkdir -p "$RUNS"
exec 9>"$RUNS/.nightly"
flock --nonblock 9 || { echo "abaw: last night's runs are still at work"; exit 75; }

# All shards, then the judgement of merge; again while shards are missing (code 2).
finish() {
  local run=$1 last code array try
  last=$(($(sed -n 's/^  "shards": \([0-9]*\).*/\1/p' "$run/plan.json") - 1))
  for ((try = 0; try < TRIES; try++)); do
    array=$(sbatch --parsable --chdir="$run" --array="0-$last%$AT_ONCE" pipelines/slurm/annotate.sbatch 2>"$run/sbatch.log") ||
      { code=1; break; }
    sbatch --wait --chdir="$run" --dependency="afterany:$array" pipelines/slurm/merge.sbatch >"$run/sbatch.log" 2>&1 &&
      code=0 || code=$?
    [ "$code" = 2 ] || break
  done
  if [ -n "$TEMPLATE" ] && [ -e "$run/run.json" ]; then
    "${abaw[@]}" submit "$run" --challenge mtl --template "$TEMPLATE" --out "$run/submissions/mtl.txt" >"$run/submit.log" 2>&1 ||
      code=$?
  fi
  if [ -n "$REPORT" ] && [ -e "$run/run.json" ]; then
    "${abaw[@]}" report "$run" --out "$run/report" >"$run/report.log" 2>&1 || code=$?
  fi
  echo "abaw: $run: $(cat "$run"/{merge,sbatch,submit,report}.log 2>/dev/null | grep -e ' videos done' -e 'error:' | tail -n 1)"
  return "$code"
}

since=()
for plan in "$RUNS"/*/plan.json; do
  [ -e "$plan" ] && since+=(--new-since "${plan%/plan.json}")
done
tonight=$RUNS/$(date +%Y-%m-%dT%H%M%S)
# shellcheck disable=SC2086  # options are words
planned=$("${abaw[@]}" plan "$VIDEOS" --out "$tonight" --shards "$SHARDS" ${since[@]+"${since[@]}"} $PLAN 2>&1) ||
  { echo "abaw: ${planned##*$'\n'}"; exit 2; }

worst=0 runs=0
for plan in "$RUNS"/*/plan.json; do
  run=${plan%/plan.json}
  if [ ! -e "$plan" ] || [ -e "$run/run.json" ]; then continue; fi
  runs=$((runs + 1))
  finish "$run" || { code=$?; worst=$((code > worst ? code : worst)); }
done
[ "$runs" != 0 ] || echo "abaw: ${planned##*$'\n'}"
exit "$worst"
