"""What a case is, how it is measured, and what is kept of it."""
