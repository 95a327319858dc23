"""The journal as text for accounting programs that are not ours: hledger and beancount, written while the log is read.

What must stay true: it is made from the log itself, up to the head at the start; every posting of hledger's and every
account of beancount's is asserted, so that one yen too much is found by a program that shares no code with this one.
The last line says how far it goes: an export without it was cut, and the programs would not know.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Iterator
from datetime import date
from typing import Final, Protocol

from ledger.audit.fold import pages
from ledger.calendar import ONE_DAY, business_day
from ledger.postings import BALANCES, Posting, postings, value_date
from ledger.store.pages import Connection, Recorded


class Format(Protocol):
    """How a program writes books down. Dates never run backward: lines are booked on the day the log took the event."""

    def head(self) -> str: ...

    def opened(self, account: str, on: date) -> str: ...

    def transaction(self, recorded: Recorded, on: date, lines: list[tuple[str, Posting, int]]) -> str:
        """One event: each line with its account and what the account holds after it."""
        ...

    def assertions(self, on: date, balances: Counter[str], controls: dict[str, int]) -> str:
        """What every account, and every control account with all below it, holds at the end of the last day."""
        ...


class Hledger:
    """hledger reads a comma as a decimal mark unless it is told, and a tag up to the next comma."""

    def head(self) -> str:
        return "; Card Ledger, double-entry journal\ndecimal-mark .\ncommodity 1000. JPY\n\n"

    def opened(self, account: str, on: date) -> str:
        del on
        return f"account {account}\n\n"

    def transaction(self, recorded: Recorded, on: date, lines: list[tuple[str, Posting, int]]) -> str:
        event = recorded.event
        tags = f"stream:{event.originator_id}, valued:{value_date(event.fact)}"
        rows = "".join(f"    {account}  {posting.signed} JPY = {balance} JPY\n" for account, posting, balance in lines)
        return f"{on} ({recorded.position}) {event.fact.topic}  ; {tags}\n{rows}\n"

    def assertions(self, on: date, balances: Counter[str], controls: dict[str, int]) -> str:
        del balances  # asserted with every posting
        rows = "".join(f"    {account}  0 JPY =* {amount} JPY\n" for account, amount in controls.items())
        return f"{on} control accounts with all below them\n{rows}"


class Beancount:
    """beancount asserts what an account holds at the start of a day, so the assertions stand on the day after."""

    def head(self) -> str:
        return 'option "title" "Card Ledger"\noption "operating_currency" "JPY"\n\n'

    def opened(self, account: str, on: date) -> str:
        return f"{on} open {account} JPY\n"

    def transaction(self, recorded: Recorded, on: date, lines: list[tuple[str, Posting, int]]) -> str:
        event = recorded.event
        told = (
            f'  position: {recorded.position}\n  stream: "{event.originator_id}"\n  valued: {value_date(event.fact)}\n'
        )
        rows = "".join(f"  {account}  {posting.signed} JPY\n" for account, posting, _ in lines)
        return f'{on} * "{event.fact.topic}"\n{told}{rows}\n'

    def assertions(self, on: date, balances: Counter[str], controls: dict[str, int]) -> str:
        after = on + ONE_DAY
        everything = {**balances, **controls}
        return "".join(f"{after} balance {account}  {amount} JPY\n" for account, amount in sorted(everything.items()))


FORMATS: Final[dict[str, type[Format]]] = {"hledger": Hledger, "beancount": Beancount}


class Books:
    """What has been written so far: the balance of each account, and the last day."""

    def __init__(self, form: Format) -> None:
        self._form = form
        self._balances: Counter[str] = Counter()
        self._opened: set[str] = set()
        self._last: date | None = None

    def write(self, recorded: Recorded) -> Iterator[str]:
        """The text of one event, after that of the accounts it uses first."""
        found = postings(recorded.event.fact)
        if not found:
            return
        on = business_day(recorded.recorded_at)
        lines = []
        for posting in found:
            account = _account_of(posting, recorded)
            yield from self._open(posting.account, account, on)
            self._balances[account] += posting.signed
            lines.append((account, posting, self._balances[account]))
        self._last = on
        yield self._form.transaction(recorded, on, lines)

    def _open(self, control: str, account: str, on: date) -> Iterator[str]:
        for name in (control, account):
            if name not in self._opened:
                self._opened.add(name)
                yield self._form.opened(name, on)

    def close(self) -> str:
        """The assertions at the end; nothing where nothing was booked."""
        if self._last is None:
            return ""
        controls = {
            control: sum(amount for name, amount in self._balances.items() if name.startswith(f"{control}:"))
            for control in BALANCES
            if control in self._opened
        }
        return self._form.assertions(self._last, self._balances, controls)


def _account_of(posting: Posting, recorded: Recorded) -> str:
    """The account of the card under its control account; a part of a name begins with a capital letter."""
    if posting.account in BALANCES:
        return f"{posting.account}:C-{recorded.event.originator_id}"
    return posting.account


async def export(connection: Connection, form: Format, until: int) -> AsyncIterator[str]:
    """The journal up to a position, piece by piece."""
    books = Books(form)
    yield form.head()
    async for events in pages(connection, until):
        yield "".join(text for recorded in events for text in books.write(recorded))
    yield books.close()
    yield f"; complete up to position {until}\n"
