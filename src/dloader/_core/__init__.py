"""DataLoader, from the standard library alone. Read in this order: the life of a key.

1. `_loader`: a caller asks, `_keys` makes the cache key, and `_cache` (or `_cache_map`, the user's) may answer.
2. `_pending`: else somebody may wait for the key already, in the open batch or in one under way: the caller joins.
   (`_partitions`: with ``partition=`` there is an open batch for each.)
3. `_batch`: else the key goes into the open batch, which is opened if there is none; `_waiters` are who waits for it.
4. `_load_many`: many keys have one waiter, with a part in each of the batches.
5. `_dispatch`: a policy closes the batch. `_run_queue`: it runs when there is a place for it, in a task of its own.
6. `_fetch`: the batch forgets the keys that all have left, and the user's function is called once, with the others.
7. `_results`: what it returned is checked and put in the order of the keys.
8. `_deliver`: the batch ends, once, in `Batch.end`: all who wait get a value, an error of their own (`_error_copies`)
   or are cancelled; the cache keeps what is to be kept; who listens to the batch is told.
9. `_wait_graph`: a batch function may load as well; what would wait for itself is refused.
10. `_lifecycle`: all that happens on one event loop, until the loader is shut down.

Beside it: `_options` and `_parameters` (what a loader is told when it is made), `_hooks` (instruments), `_tasks`,
`_types`, `_rows`. docs/architecture.md has the words, and who owns which state.
"""
