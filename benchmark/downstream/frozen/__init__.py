"""Evaluation of frozen encoders: their features are extracted once, their weights never trained.

Protocols ``linear`` (a batch norm and one linear layer on the patch features) and ``knn`` (weighted
nearest neighbours of patches); see `docs/evaluate_an_encoder.md`.
"""
