"""The agent of one slot: lease, train, report, finish; what travels, and what ends it."""
