"""What to try next: our store of trials, and Optuna's tables, sampler and pruner, which follow it."""
