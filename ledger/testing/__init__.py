"""Testing a ledger: random and exhaustive lives of a member with a card, watched by a small independent model.

What must stay true: the names below are for everybody who tests a deployment or a changed policy; `docs/for-testers.md`
says how. The driver of the application is `ledger.testing.on_postgres.OnPostgres`; it alone opens a database.
"""

from ledger.testing import acts, directed, strategies
from ledger.testing.acts import Act, Opening, Outcome
from ledger.testing.driver import Driver, Seen
from ledger.testing.exhaustive import ALPHABET, tell_every_sequence
from ledger.testing.exploration import explore, tell_on_purpose
from ledger.testing.in_memory import InMemory
from ledger.testing.machine import AccessLife, AccountLife, WholeLife, machine
from ledger.testing.model import Model
from ledger.testing.over_http import OverHttp
from ledger.testing.policy import Policy
from ledger.testing.trial import Discrepancy, Trial

__all__ = [
    "ALPHABET",
    "AccessLife",
    "AccountLife",
    "Act",
    "Discrepancy",
    "Driver",
    "InMemory",
    "Model",
    "Opening",
    "Outcome",
    "OverHttp",
    "Policy",
    "Seen",
    "Trial",
    "WholeLife",
    "acts",
    "directed",
    "explore",
    "machine",
    "strategies",
    "tell_every_sequence",
    "tell_on_purpose",
]
