#!/usr/bin/env bash
# The main job once, on synthetic angiograms, at the scale of a CPU: angiograms, vascular anatomy,
# segmentor, MAE and VasoMIM pre-training, fine-tuning with three seeds each, leaderboard.
#
#   tools/demo.sh [FOLDER]        default: work_dirs/demo
#
# Every step is one of the tools anyone would call; a step that is done is skipped, so the same
# command goes on where it was interrupted.
set -euo pipefail

work=${1:-work_dirs/demo}
root=$(cd "$(dirname "$0")" && pwd)
python=${PYTHON:-python3}
started=$SECONDS

step() { printf '\n== %s  [%d s]\n' "$1" $((SECONDS - started)); }
tool() { local name=$1; shift; "$python" "$root/$name.py" "$@"; }
pack=$work/packs/synthetic
data=$work/downstream/synthetic_v
run=(--scale tiny --work "$work")

step "1/7 angiograms: 20 patients to pre-train on, 18 others to fine-tune and test on"
tool prepare_data synthetic --out "$pack" --size 256 \
    --option size=256 patients=20 videos=2 frames=10 first_frame=2 seed=1 test_fraction=0
tool prepare_data synthetic --as segmentation --out "$data" \
    --option size=256 patients=18 videos=2 frames=6 first_frame=4 seed=2

step "2/7 vascular anatomy of every frame"
tool extract_anatomy "$pack"

step "3/7 the segmentor, on the extracted vessels"
tool train configs/segmentor/unext_s.py "${run[@]}" --packs "$pack" --resume

step "4/7 pre-training: MAE"
tool train configs/mae/pretrain.py "${run[@]}" --packs "$pack" --resume

step "5/7 pre-training: VasoMIM"
tool train configs/vasomim/pretrain.py "${run[@]}" --packs "$pack" --resume
tool show "$work/vasomim/pretrain" --out "$work/vasomim.png"

step "6/7 fine-tuning: 4 methods, 3 seeds"
for method in frangi unet mae vasomim; do
    tool finetune --method $method --dataset synthetic_v --seed 0 1 2 "${run[@]}" --data "$data"
done
tool show "$work/vasomim/finetune/synthetic_v/seed0" --out "$work/predictions.png"

step "7/7 leaderboard"
tool leaderboard --results "$work/results" --protocol demo --reference mae --out "$work"
step "done: $work/leaderboard.md, pictures in $work/vasomim.png and $work/predictions.png"
