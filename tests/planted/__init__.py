"""Bugs planted in copies of the policy, each one a careless rule: the machine must find every one of them.

What must stay true: a bug is one line of what is wrong and one small change, taken back when its trial is over.
"""

from planted import access, account, lockout, schedule
from planted.soil import BUGS, planted

__all__ = ["BUGS", "access", "account", "lockout", "planted", "schedule"]
