"""Where a study lies and how it is read: a database of this machine's, or a team's server."""
