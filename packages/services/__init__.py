"""What people do with packages, and what becomes of it on agents."""
