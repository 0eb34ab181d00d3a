"""A fine-tuned model scored on other frames: another dataset, or its own test split corrupted."""
