"""What a resolve of a model will do, without doing it: rounds, calls, and what waits for what.

`_planned_calls` reads it off the plans of the classes, and `_plan_view` is what users hold; `_text`, `_layout`,
`_picture`, `_page` and `_mermaid` show it, with the numbers of a run in it if there are some (`_runs`).
"""
