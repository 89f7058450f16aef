"""What a resolve of a model will do, without doing it: rounds, calls, and what waits for what.

`_call_reader` reads it off the plans of the classes into `_planned_calls`, and `_plan_view` is what users hold;
`_text`, `_layout`, `_picture`, `_page` and `_mermaid` show it, with the numbers of a run if there are some (`_runs`).
"""
