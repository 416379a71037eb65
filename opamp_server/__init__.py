"""The web server: WebSocket and HTTP connections within bounds, processes that replace each other.

Runs any ASGI application. Nothing here knows Django or OpAMP; what an operator may set comes in as `options.ServerOptions`.
"""
