"""What the study server answers to: a file each for workers, for people, for artifacts."""
