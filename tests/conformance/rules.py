"""The server rules of OpAMP as this project numbers them: strength, where each applies, and what it asks, in one line.

Knows nothing of tests; `tests.conformance.page` brings the two together. ``applies`` names the transports at which a rule can
be broken: a rule is shown only when a test shows it at each of them. ``SERVER`` is for what no single message can show.
"""

from __future__ import annotations

from dataclasses import dataclass

WS = "websocket"
HTTP = "http"
SERVER = "server"
BOTH = (WS, HTTP)


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule. ``strength`` is MUST, SHOULD, MAY, INTEROP, DERIVED or SEC."""

    id: str
    strength: str
    applies: tuple[str, ...]
    text: str


def _rules(table: str) -> tuple[Rule, ...]:
    transports = {"both": BOTH, "ws": (WS,), "http": (HTTP,), "server": (SERVER,)}
    found = []
    for line in table.strip().splitlines():
        number, strength, applies, text = (part.strip() for part in line.split("|", 3))
        found.append(Rule(f"S-{number}", strength, transports[applies], text))
    return tuple(found)


SECTIONS: dict[str, tuple[Rule, ...]] = {
    "Endpoint and framing": _rules("""
01|SHOULD|both|WebSocket upgrades and plain-HTTP posts are served on one path
02|SHOULD|server|The path is /v1/opamp and the port 4320 by default; both can be chosen
03|SHOULD|both|The content type application/x-protobuf means plain HTTP, everything else a handshake
04|INTEROP|http|Content-Type is read as a media type; what is neither post nor upgrade gets a 4xx
05|MUST|both|WebSocket messages are binary and begin with varint 0; HTTP bodies have no header
06|SHOULD|ws|A header that is not 0, truncated or over-long makes the message malformed
07|MUST|ws|What follows the header is the message, also when that is nothing
08|INTEROP|ws|Text messages are refused without harm to others; fragments are put together
09|MUST|ws|A message above the limit is never buffered whole and counts as malformed
10|SHOULD|ws|That closes the socket with code 1009
11|MUST|ws|A reply above the limit is not sent, and that is recorded
12|SHOULD|both|The size limits can be configured
13|INTEROP|ws|Compression, if accepted, names both no_context_takeover parameters
14|INTEROP|ws|Idle sockets are pinged and dropped without a pong; pings are answered
15|MUST|ws|A close by the server is a Close frame and the closing handshake
16|MUST|http|Bodies come plain or in gzip, as Content-Encoding says
17|SHOULD|http|Replies are in gzip only when Accept-Encoding permits it
18|MUST|http|A body above the limit, counted after inflation, gets 413
19|MUST|http|A reply above the limit is not sent, and that is recorded
20|INTEROP|http|A successful exchange is status 200 with exactly application/x-protobuf
21|DERIVED|http|What the server wants to say waits for the next poll
22|MUST|both|A wrong credential gets 401, before any upgrade
23|MAY|both|Bearer and other HTTP credentials are accepted
24|INTEROP|http|The OpAMP-Instance-UID header need not match the body
"""),
    "Identity": _rules("""
25|SHOULD|both|A uid that is not 16 bytes is a bad request; its UUID version is not checked
26|INTEROP|both|A 26-character ULID of old clients is optional: here it is refused and echoed
27|MUST|both|Every message of the server names the uid the agent last used
28|DERIVED|both|RequestInstanceUid is answered with a new uid; the temporary one is not kept
29|MUST|both|An assigned uid is exactly 16 bytes
30|DERIVED|both|The reply that assigns a uid still names the old one; the number continues
31|SHOULD|both|Two agents under one uid are noticed, and one gets a new uid
32|MAY|ws|Of two connections of one agent the last wins
33|DERIVED|ws|Several agents share one connection
34|SHOULD|ws|The end of a connection releases all agents that are still its own
35|SHOULD|both|agent_disconnect takes an agent offline at once
"""),
    "Status reports, compression, sequence numbers": _rules("""
36|MUST|both|Each message is answered by one message
37|DERIVED|both|With nothing to say the answer is only who is meant
38|MUST|both|An error travels with the uid alone, and no success carries one
39|DERIVED|both|What a message leaves out stays as it was
40|DERIVED|both|What a message carries replaces the former value whole
41|DERIVED|both|One-shot members are never inherited
42|MUST|both|A gap in the numbers asks for the full state
43|DERIVED|both|So does an agent never seen, unless it told everything
44|DERIVED|both|The request converges: one is outstanding at a time
45|DERIVED|both|A message that could not be processed does not advance the number
46|MUST|both|A repeated message is answered again and takes effect once
47|DERIVED|both|A number that falls is a restart of the client, not an error
48|DERIVED|both|State and number survive the connection
49|INTEROP|both|An absent number is number 0
50|DERIVED|both|An unchanged report never draws the same offer twice
51|DERIVED|both|Every message refreshes when the agent was last seen
"""),
    "Capabilities": _rules("""
52|MUST|both|AcceptsStatus is always advertised
53|MUST|both|The first message of the server carries its capabilities
54|MUST|both|Undefined bits are 0 when sent and ignored when received
55|MUST|both|Nothing is offered that the agent did not say it accepts
56|MUST|both|A change of capabilities takes effect at once
57|INTEROP|both|Capabilities 0 mean "not repeated"; a missing ReportsStatus is tolerated
"""),
    "Remote and effective configuration": _rules("""
58|MUST|both|No remote_config without AcceptsRemoteConfig
59|MUST|both|The hash is always set and a pure function of the files
60|MUST|both|A reported hash that differs from the desired one draws an offer
61|SHOULD|both|An equal hash draws none, whatever the status
62|INTEROP|both|A message without status does not repeat an offer; a repeated exchange does
63|INTEROP|both|An answer that never names the hash is met with few, growing pauses
64|DERIVED|both|A status counts for the hash it names
65|DERIVED|both|Without ReportsRemoteConfig an offer counts as delivered, not as applied
66|MAY|both|Offers are pushed over WebSocket and wait for the poll over HTTP
67|DERIVED|both|An empty map means "run with none"; the map is always present
68|MUST|both|Keys, bodies, content types and roles pass unchanged
69|DERIVED|both|The effective configuration is kept as reported
70|SHOULD|both|It is expected only from agents that report it, and asked of them
"""),
    "Health and heartbeat": _rules("""
71|DERIVED|both|Health is a tree; its root decides; never reported is unknown
72|DERIVED|both|Status words are not interpreted; start time 0 is "not running"
73|MAY|both|A heartbeat interval is offered to agents that report heartbeats and have another
74|DERIVED|ws|Silence of a healthy socket proves nothing
75|INTEROP|both|An offered interval is never 0 and never left out
"""),
    "Connection settings": _rules("""
76|MUST|both|Each member is offered only to agents that accept it
77|SHOULD|both|Own telemetry settings come with the first message, later only on change
78|DERIVED|both|The hash is set and covers all settings
79|MUST|both|Endpoints are whole URLs
80|DERIVED|both|An absent member means unchanged
81|MUST|both|A reported hash that differs draws an offer, an equal one does not
82|DERIVED|both|Old credentials work until the new ones were used
83|MUST|both|Revoked credentials are refused and told to their destinations
84|MAY|both|Unknown agents may wait for approval
85|SHOULD|both|A certificate request is checked and answered with a certificate
86|MUST|both|A request that fails is a bad request
87|MUST|both|A uid named by the request is the message's own
88|DERIVED|both|A request without content is ignored; renewal is normal
"""),
    "Packages": _rules("""
89|MUST|both|Packages are offered only to agents that accept them, always with a hash
90|SHOULD|both|A reported hash that differs draws an offer, an equal one does not
91|DERIVED|both|The offer is the complete set
92|SHOULD|both|Files are served with ranges; statuses replace the stored ones
"""),
    "Custom capabilities and messages": _rules("""
93|SHOULD|both|The server names its custom capabilities once per connection and keeps the agent's
94|DERIVED|both|A custom message goes only to agents that list its capability
95|DERIVED|both|One custom message at a time, in order
"""),
    "Commands": _rules("""
96|MUST|both|A restart goes only to agents that accept it, alone; what else is due follows
97|DERIVED|both|A restart is an empty sub-message, sent once per request
"""),
    "Available components": _rules("""
98|MAY|both|An unknown hash of components is asked for in full, then with pauses; a known one is not
99|DERIVED|both|Component maps are kept by hash, for all agents
"""),
    "Errors, throttling, retries": _rules("""
100|SHOULD|both|A malformed message gets BadRequest with a readable text
101|INTEROP|both|HTTP: 400 for bytes that do not decode, else 200 with the error; WebSocket: an answer
102|SHOULD|ws|Overload on an open socket: Unavailable with a time, then a close
103|MAY|both|Overload before that: 503 or 429 with Retry-After
104|DERIVED|both|Being rejected changes no state and no number
105|DERIVED|both|Nobody is let in only to be thrown out
"""),
    "Concurrency": _rules("""
106|DERIVED|ws|Writes to one socket are whole, in order, and bounded in time
107|DERIVED|both|Two messages of one agent are never processed at the same time
108|MAY|both|Only the newest pending offer of each kind is kept
109|DERIVED|ws|The next message need not be the answer to the last offer
110|DERIVED|http|The polls of one agent may reach any process
111|DERIVED|both|A slow, huge or broken agent does not hold up others
"""),
    "Forward compatibility and security": _rules("""
112|DERIVED|both|Unknown fields and enum numbers are ignored
113|SEC|server|Offers and commands need a right and leave an audit entry
114|SEC|server|No signing keys are kept here
115|SEC|server|Each agent can get a credential of its own
116|SEC|server|Reported configurations are treated as secrets
117|SEC|server|Credentials are compared safely; insecure TLS is never offered
118|SEC|both|A refused or ignored offer is a normal outcome
"""),
}
RULES: dict[str, Rule] = {rule.id: rule for rules in SECTIONS.values() for rule in rules}
