"""How much of the server one connection may take: uvicorn's two protocols with deadlines and bounds of our own.

uvicorn bounds a message's size and nothing else. Here every phase of a connection has a deadline, what a peer makes us
keep is bounded, and a peer that sends much at once is worked off in turns with the others (S-09, S-106, S-111). Nothing
here knows OpAMP; what a message means is the doors' business.
"""

from opamp_platform.peers.requests import PatientHttpProtocol
from opamp_platform.peers.websockets import PatientWebSocketProtocol

__all__ = ["PatientHttpProtocol", "PatientWebSocketProtocol"]
