"""What whoever runs the portal looks at: health, metrics, logs, limits, exposure."""
