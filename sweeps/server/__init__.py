"""The study server: HTTP over all studies of a database, for workers and people."""
