"""Pre-training datasets that are composed of several public ones."""
