"""The auditor's side: every fact as it is told outside, and any card or member as it was at any position.

What must stay true: nothing here writes to the log, and no page is read under a long snapshot.
"""
