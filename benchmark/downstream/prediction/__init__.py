"""Applying a fine-tuned model to frames from files: masks, boxes, denoised frames, a table."""
