"""Loaders: what asking one costs."""
