"""Writes about agents, by idea: `recording` (what they report), `leases` (who is connected), `editing` (what operators
say about them), `commands` (what is sent to them once)."""
