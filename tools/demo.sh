#!/usr/bin/env bash
# The main job once, on synthetic angiograms, at the scale of a CPU: angiograms, vascular anatomy,
# segmentor, MAE and VasoMIM pre-training, fine-tuning with three seeds each, leaderboard.
#
#   tools/demo.sh [FOLDER]        default: work_dirs/demo
#
# Every step is one of the tools anyone would call; a step that is done is skipped, so the same
# command goes on where it was interrupted. Steps that do not need each other run side by side, each
# on half of the cores: small networks gain little from threads.
set -euo pipefail

case ${1:-} in
    -h | --help)
        sed -n '/^#!/d; /^#SBATCH/d; /^#/!q; s/^# \{0,1\}//p' "$0"
        exit
        ;;
esac

work=${1:-work_dirs/demo}
root=$(cd "$(dirname "$0")" && pwd)
python=${PYTHON:-python3}
started=$SECONDS
cores=$(getconf _NPROCESSORS_ONLN)
export OMP_NUM_THREADS=$((cores > 1 ? cores / 2 : 1))
# Jobs in the background do not hear Ctrl-C by themselves.
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
# together A -- B: both side by side; fails if one of them does.
together() {
    local first=()
    while [ "$1" != -- ]; do first+=("$1"); shift; done
    shift
    "${first[@]}" &
    local job=$! status=0
    "$@" || status=$?
    wait $job || status=$?
    return $status
}
baselines() { finetune frangi && finetune unet; }

step "1/6 angiograms: 20 patients to pre-train on, 18 others to fine-tune and test on"
together tool prepare_data synthetic --out "$pack" --size 256 \
    --option size=256 patients=20 videos=2 frames=10 first_frame=2 seed=1 test_fraction=0 \
    -- tool prepare_data synthetic --as segmentation --out "$data" \
    --option size=256 patients=18 videos=2 frames=6 first_frame=4 seed=2

step "2/6 vascular anatomy of every frame"
tool extract_anatomy "$pack"

step "3/6 the segmentor, on the extracted vessels; beside it, pre-training of MAE"
together pretrain configs/segmentor/unext_s.py -- pretrain configs/mae/pretrain.py

step "4/6 pre-training of VasoMIM; beside it, the rows without pre-training, 3 seeds each"
together pretrain configs/vasomim/pretrain.py -- baselines
tool show "$work/vasomim/pretrain" --out "$work/vasomim.png"

step "5/6 fine-tuning of MAE and of VasoMIM, 3 seeds each"
together finetune mae -- finetune vasomim
tool show "$work/vasomim/finetune/synthetic_v/seed0" --out "$work/predictions.png"

step "6/6 leaderboard"
tool leaderboard --results "$work/results" --protocol demo --reference mae --out "$work"
step "done: $work/leaderboard.md and .html, pictures in $work/vasomim.png and $work/predictions.png"
