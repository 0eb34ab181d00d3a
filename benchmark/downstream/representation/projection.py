"""Projections of patch features to two dimensions."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from sklearn.manifold import TSNE

from benchmark.downstream.frozen.preview import require_umap
from benchmark.errors import InputError
from benchmark.registry import MODELS
from benchmark.type_hints import Positive, Range, Rate


@MODELS.register_module()
class TSNEProjection:
    """t-SNE by scikit-learn (journal, table VI), Barnes-Hut, initialised by PCA.

    Args:
        perplexity: effective number of neighbours; smaller than the number of patches.
        iterations: number of iterations, including the 250 of early exaggeration.
    """

    def __init__(
        self,
        perplexity: Positive = 30.0,
        iterations: Annotated[int, Range(least=250)] = 1000,
    ) -> None:
        self.perplexity = perplexity
        self.iterations = iterations

    def __call__(self, features: np.ndarray, seed: int) -> np.ndarray:
        """n×D to n×2, float32; deterministic if scikit-learn runs in one thread."""
        if self.perplexity >= len(features):
            raise InputError(
                f"tsne.perplexity={self.perplexity:g}: must be smaller than the number of "
                f"patches, {len(features)}"
            )
        tsne = TSNE(
            init="pca", perplexity=self.perplexity, max_iter=self.iterations, random_state=seed
        )
        return tsne.fit_transform(features)


@MODELS.register_module()
class UMAPProjection:
    """UMAP by umap-learn (AAAI, table 3).

    Args:
        neighbours: size of the neighbourhood; smaller than the number of patches.
        min_distance: minimum distance between points of the projection.
    """

    def __init__(
        self, neighbours: Annotated[int, Range(least=2)] = 15, min_distance: Rate = 0.1
    ) -> None:
        self.neighbours = neighbours
        self.min_distance = min_distance

    def __call__(self, features: np.ndarray, seed: int) -> np.ndarray:
        """n×D to n×2, float32; deterministic, as umap-learn runs in one thread when seeded."""
        if self.neighbours >= len(features):
            raise InputError(
                f"umap.neighbours={self.neighbours}: must be smaller than the number of patches, "
                f"{len(features)}"
            )
        require_umap()
        from umap import UMAP

        umap = UMAP(
            n_neighbors=self.neighbours, min_dist=self.min_distance, random_state=seed, n_jobs=1
        )
        return umap.fit_transform(features)
