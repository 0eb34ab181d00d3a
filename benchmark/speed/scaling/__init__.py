"""What a board costs on how many GPUs, by arithmetic: no GPU, no torch, nothing is run."""
