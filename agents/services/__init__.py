"""Writes about agents, by idea: `recording` (what they report), `batch` (the rows of one transaction), `leases` (who is
connected), `processes` (which servers live, and which one leads), `retention` (what is kept no longer), `editing` (what
operators say about agents), `bulk_requests` (how many one request reaches), `commands` (what is sent to them once)."""
