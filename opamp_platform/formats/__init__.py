"""How the portal writes times: one form in both languages, which sorts as it reads."""
