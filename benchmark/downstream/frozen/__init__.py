"""How good an encoder is as it is: its features are extracted once, and nothing of it is trained.

Protocols ``linear`` (a batch norm and one linear layer on the patch features) and ``knn`` (weighted
nearest neighbours of patches); see `docs/evaluate_an_encoder.md`.
"""
