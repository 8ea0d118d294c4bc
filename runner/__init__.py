"""How one trial runs."""
