"""Further seeds of the best, and one look at the images held out."""
