"""What every self-supervised method of the benchmark shares."""
