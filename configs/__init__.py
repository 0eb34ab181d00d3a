"""Recipes: one folder per method, mmengine's pure-Python style."""
