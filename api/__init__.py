"""The HTTP side of the ledger: it takes requests apart, asks the ledger, and words the answers; it decides nothing."""
