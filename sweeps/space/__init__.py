"""A search space: YAML in, checked and complete, walked trial by trial."""
