"""The auditor's side: facts as they are told outside, replay, recompute, drift, explanations, books for other programs.

What must stay true: nothing here writes to the log or to a read model, and the log is read in pages, each in a short
transaction of its own.
"""
