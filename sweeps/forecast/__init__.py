"""What a study will take: short measurements, and how far the forecast was off in the end."""
