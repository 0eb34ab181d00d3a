"""A fine-tuned model scored on another data set than the one it was trained on."""
