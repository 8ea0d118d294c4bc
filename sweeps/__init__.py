"""What to try, and who decides."""
