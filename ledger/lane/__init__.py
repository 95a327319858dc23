"""The lane: natural batching of acts. `lane` queues and records, `desk` is what one act sees, `turn` one act's way
through, `folds` the aggregates kept in memory, `refused` what is put on record of a declined act.

What must stay true: everything that decides goes through here, and nothing here knows a rule of the business.
"""

from ledger.lane.desk import Act, Decision, Desk, GatheredStale
from ledger.lane.lane import ACTS_MAX, EVENTS_MAX, Defect, Lane

__all__ = ["ACTS_MAX", "EVENTS_MAX", "Act", "Decision", "Defect", "Desk", "GatheredStale", "Lane"]
