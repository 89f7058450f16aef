"""Loaders that take real time: what a whole tree waits for."""
