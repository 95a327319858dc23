"""`cardledger bench`: what the ledger costs, as ratios to yardsticks measured beside it in the same run.

What must stay true: a figure is never compared with one of another run, the load's own CPU is in no figure, and after
the load every balance is added up again in SQL.
"""
