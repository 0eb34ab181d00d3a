"""Applying a fine-tuned model to frames of files: masks, boxes, denoised frames, and a table."""
