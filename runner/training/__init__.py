"""One training, inside the trainer process: weights in, figures out, failures told apart."""
