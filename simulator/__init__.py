"""Simulated agents: real OpAMP clients over real sockets, thousands in one process, without a Collector behind them.

For trying the portal out and for load. The server knows nothing of this package.
"""
