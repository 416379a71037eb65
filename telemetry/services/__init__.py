"""What is done with agents' own metrics: stored, read, pruned."""
