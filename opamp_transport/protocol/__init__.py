"""The OpAMP protocol without input or output: bytes to typed reports, decisions, replies to bytes.

Standard library and protobuf only (protobuf in `messages` alone); no Django, no asyncio, no sockets.
"""
