"""Studies at work: a run on this machine, a long-lived server, a study handed to a team's."""
