"""How often something may happen: a bucket of tokens. The clock comes in as an argument (seconds)."""

from __future__ import annotations


class TokenBucket:
    """Tokens left of one key; rate (tokens per second) and burst (tokens) are the caller's."""

    __slots__ = ("at", "tokens")

    def __init__(self, burst: float, now: float) -> None:
        self.tokens = float(burst)
        self.at = now

    def take(self, rate: float, burst: float, now: float) -> float:
        """0 when a token was there, else the seconds until there is one."""
        self.tokens = min(float(burst), self.tokens + max(0.0, now - self.at) * rate)
        self.at = now
        if self.tokens >= 1:
            self.tokens -= 1
            return 0.0
        return (1 - self.tokens) / rate
