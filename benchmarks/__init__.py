"""How fast dloader is, beside its peers and beside code written by hand: ``python benchmarks/run.py``."""
