"""A third kind of released versions: the proof that it brings its rows and what differs, and nothing else."""
