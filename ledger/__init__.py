"""Card Ledger: an event-sourced account ledger for consumer card loans."""
