"""Two hundred clients, for a minute: `python -m examples.service.load --help`.

Every answer is checked against the rows that were put in and the writes that were sent (truth). The servers are taken
away in the middle (proxy); errors are allowed only then.
"""
