"""Writes about configurations, by idea: `publishing` (edits and revisions), `targeting` (who should run what),
`offers` (what is due to an agent that talks to us)."""
