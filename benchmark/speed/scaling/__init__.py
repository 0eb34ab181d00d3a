"""What a board costs on n GPUs, by arithmetic alone: no GPU, no torch, nothing is run."""
