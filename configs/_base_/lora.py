"""Low-rank adaptation, `tools/finetune.py --lora` (`docs/protocol.md`).

LoRA (Hu et al., ICLR 2022): as in the paper, queries and values are adapted, each by an update of
its own; rank and α are those of its code for RoBERTa-base (microsoft/LoRA @ c18b175,
`examples/NLU/roberta_base_mnli.sh`), which is as wide and as deep as a ViT-B. Updates, neck and
head have the optimiser, the learning rate and the epochs of the dataset; the updates of all layers
have the same rate, so there is no layer decay.
"""

from benchmark.downstream.lora import LowRankAdaptation

# "qkv" would adapt queries, keys and values together, by one update, as peft does with such layers.
lora = dict(type=LowRankAdaptation, rank=8, alpha=16.0, targets=("q", "v"))
layer_decay = 1.0
