"""The application: one short method for each act, named as the aggregate, the route and the command line name it.

What must stay true: everything slow (look-ups, opened boxes, hashes) is gathered before the act is decided in the lane,
and what may have moved meanwhile is checked again in the decision.
"""

from ledger.application.ledger import Ledger

__all__ = ["Ledger"]
