"""Model classes to plans. Pure: no event loop, no loader, no node.

`_annotations` reads types and `_methods` methods; `_mistakes` finds what would not be done; `_compile` makes the
`Plan` of a class; `_model_graph` keeps all plans and knows of each class what can lie below it, and `_depths` which
loaders are used there.
"""
