"""What happened: the store, the ranking, its tables, and what is handed back."""
