"""A nested response from a real database."""
