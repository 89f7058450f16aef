"""What stands between a loader and its store, and knows neither: names of keys, values as bytes, care for a server.

- `_names`: what a key, and a loader with its parameters, are called there; stable from process to process.
- `_values`: values to JSON and back, by the type that the loader says.
- `_kept`: what loaders of dloader's own say instead; `_generations`: how all that is read from a table is outdated.
- `_guard`: one for each store: deadlines, the breaker, deletes that must not be lost, what others tell.
"""
