"""The other libraries: which take part, how each is used, and what holds in which."""
