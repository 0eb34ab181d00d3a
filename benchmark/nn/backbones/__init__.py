"""Encoders beside the plain ViT, and what all kinds of encoders have in common."""
