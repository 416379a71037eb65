"""Writes about agents, by idea: `recording` (what they report), `bulk` (how many rows are written at once), `leases` (who is
connected), `processes` (which servers live, and which one leads), `retention` (what is kept no longer), `editing` (what
operators say about agents), `commands` (what is sent to them once)."""
