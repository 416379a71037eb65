"""A whole new kind of offer in an app of its own: the proof that none needs a change in an existing file."""
