"""What the lane presumes when it does not ask: that nobody but itself recorded anything since it last asked.

What must stay true: what was decided on a presumed standing is told to nobody before the record function has found that
every stream, key and clock was as presumed.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from typing import Final

from ledger.store.log import Standing

PRESUMED_SECONDS: Final = 1.0
"""How long the lane goes on without asking, and how long it asks each time after it was wrong."""


class Presumption:
    """The last standing that was asked for; its time goes on by a clock that nobody can set."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._asked: Standing | None = None
        self._asked_at = 0.0
        self._doubted_until = float("-inf")

    def asked(self, standing: Standing) -> None:
        self._asked, self._asked_at = standing, self._clock()

    def doubt(self) -> None:
        """It was wrong: another process writes to the same streams, or moved the clock."""
        self._asked = None
        self._doubted_until = self._clock() + PRESUMED_SECONDS

    def standing(self) -> Standing | None:
        """What may be decided on without asking; None where asking is due."""
        now = self._clock()
        passed = now - self._asked_at
        if self._asked is None or passed > PRESUMED_SECONDS or now < self._doubted_until:
            return None
        asked = self._asked
        return Standing(asked.now + timedelta(seconds=passed), asked.head, asked.clock_offset, presumed=True)
