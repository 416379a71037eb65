"""What changes rollouts."""
