"""Runs plans over nodes, wave by wave.

A `NodeGroup` counts what it waits for, a `StepRun` is one step at work on a group, `Steps` take steps, `Barriers` hold
them, `SharedNodes` know who visits a node, and the `Engine` goes from group to group. All live as long as one resolve.
"""
