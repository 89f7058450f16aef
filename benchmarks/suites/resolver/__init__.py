"""Trees of models: what filling them costs."""
