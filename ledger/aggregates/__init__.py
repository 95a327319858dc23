"""The two nouns of the domain, Card and Member: acts that decide, facts that evolve. No clock, no I/O, no random."""
