#!/usr/bin/env bash
# The full pipeline on synthetic angiograms, at scale tiny on a CPU: angiograms, vascular anatomy,
# segmentor, pre-training of MAE and VasoMIM, fine-tuning with three seeds each, leaderboard.
#
#   tools/demo.sh [FOLDER]        default: work_dirs/demo
#
# Every step calls one of the tools; finished steps are skipped, so the same command resumes an
# interrupted demo. Independent steps run in parallel, each on half of the cores: small networks
# gain little from threads. Each of their lines starts with the name of the job.
set -euo pipefail

called=tools/demo.sh
[ -z "${ANGIO_SSL:-}" ] || called="angio-ssl demo"

case ${1:-} in
    -h | --help)
        sed -n '/^#!/d; /^#SBATCH/d; /^#/!q; s/^# \{0,1\}//p' "$0" | sed "s#tools/demo.sh#$called#"
        exit
        ;;
esac

work=${1:-work_dirs/demo}
root=$(cd "$(dirname "$0")" && pwd)
python=${PYTHON:-python3}
started=$SECONDS
cores=$(getconf _NPROCESSORS_ONLN)
export OMP_NUM_THREADS=$((cores > 1 ? cores / 2 : 1))
# Background jobs do not receive Ctrl-C by themselves.
trap 'trap - INT TERM; kill 0' INT TERM

pack=$work/packs/synthetic
data=$work/downstream/synthetic_v
run=(--scale tiny --work "$work")

step() { printf '\n== %s  [%d s]\n' "$1" $((SECONDS - started)); }
tool() { local name=$1; shift; "$python" "$root/$name.py" "$@"; }
pretrain() { tool train "$1" "${run[@]}" --packs "$pack" --resume; }
finetune() {
    tool finetune --method "$1" --dataset synthetic_v --seed 0 1 2 "${run[@]}" --data "$data"
}
# named NAME COMMAND…: its output, every line after its name.
named() {
    local name=$1 line
    shift
    "$@" 2>&1 | while IFS= read -r line; do printf '%-9s | %s\n' "$name" "$line"; done
}
# together NAME A -- NAME B: both in parallel; fails if one of them does.
together() {
    local first=()
    while [ "$1" != -- ]; do first+=("$1"); shift; done
    shift
    named "${first[@]}" &
    local job=$! status=0
    named "$@" || status=$?
    wait $job || status=$?
    return $status
}
baselines() { finetune frangi && finetune unet; }

echo "demo: 3 to 5 minutes on two cores; results go to $work"
step "1/6 angiograms: 20 patients for pre-training, 18 others for fine-tuning and testing"
together pack tool prepare_data synthetic --out "$pack" --size 256 \
    --option size=256 patients=20 videos=2 frames=10 first_frame=2 seed=1 test_fraction=0 \
    -- task tool prepare_data synthetic --as segmentation --out "$data" \
    --option size=256 patients=18 videos=2 frames=6 first_frame=4 seed=2

step "2/6 vascular anatomy of every frame"
tool extract_anatomy "$pack"

step "3/6 training of the segmentor on the extracted vessels, and pre-training of MAE"
together segmentor pretrain configs/segmentor/unext_s.py -- mae pretrain configs/mae/pretrain.py

step "4/6 pre-training of VasoMIM, and the baselines without pre-training, 3 seeds each"
together vasomim pretrain configs/vasomim/pretrain.py -- baselines baselines
tool show "$work/vasomim/pretrain" --out "$work/vasomim.png"

step "5/6 fine-tuning of MAE and of VasoMIM, 3 seeds each"
together mae finetune mae -- vasomim finetune vasomim
tool show "$work/vasomim/finetune/synthetic_v/seed0" --out "$work/predictions.png"

step "6/6 leaderboard"
tool leaderboard --results "$work/results" --protocol demo --reference mae --out "$work"
step "done: $work/leaderboard.md and .html, images in $work/vasomim.png and $work/predictions.png"
