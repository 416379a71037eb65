"""An OpAMP agent on OpenTelemetry's Python client, for the interoperability tests: plain HTTP only.

A program of its own: the client runs threads and says goodbye at the exit of the interpreter. It prints one JSON object
per line for what it sees, and obeys lines on standard input::

    stop                  disconnect and end
"""

from __future__ import annotations

import argparse
import json
import sys
import threading
from typing import Any

from opentelemetry._opamp.agent import OpAMPAgent
from opentelemetry._opamp.callbacks import MessageData, OpAMPCallbacks
from opentelemetry._opamp.client import OpAMPClient
from opentelemetry._opamp.proto import opamp_pb2

_output = threading.Lock()


def say(event: str, **what: Any) -> None:
    """One line of JSON."""
    with _output:
        print(json.dumps({"event": event, **what}), flush=True)


class Callbacks(OpAMPCallbacks):
    """Applies what is offered, with the client's own decoder, which takes JSON only."""

    def __init__(self, fail_text: str) -> None:
        self.fail_text = fail_text

    def on_connect(self, agent: OpAMPAgent, client: OpAMPClient) -> None:
        say("connected")

    def on_connect_failed(self, agent: OpAMPAgent, client: OpAMPClient, error: Exception) -> None:
        say("connect_failed", error=str(error))

    def on_error(self, agent: OpAMPAgent, client: OpAMPClient, error_response: opamp_pb2.ServerErrorResponse) -> None:
        say("error", error=error_response.error_message)

    def on_message(self, agent: OpAMPAgent, client: OpAMPClient, message: MessageData) -> None:
        offer = message.remote_config
        if offer is None:
            return
        config_hash = offer.config_hash.hex()
        files = {
            key: {"body": file.body.decode(), "content_type": file.content_type}
            for key, file in offer.config.config_map.items()
        }
        say("remote_config", hash=config_hash, files=files)
        decoded = dict(client.decode_remote_config(offer))
        failed = bool(self.fail_text) and any(self.fail_text in file["body"] for file in files.values())
        if not failed:
            client.update_effective_config(decoded, content_type="application/json")
        status = client.update_remote_config_status(
            remote_config_hash=offer.config_hash,
            status=opamp_pb2.RemoteConfigStatuses_FAILED if failed else opamp_pb2.RemoteConfigStatuses_APPLIED,
            error_message=f"{self.fail_text!r} is not for this agent" if failed else "",
        )
        if status is not None:
            agent.send(client.build_remote_config_status_response_message(status))
            agent.send(client.build_full_state_message())
        say("failed" if failed else "applied", hash=config_hash)


def main() -> None:
    """Run until told to stop."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--endpoint", required=True)
    parser.add_argument("--secret", default="")
    parser.add_argument("--name", default="interop-python")
    parser.add_argument("--labels", default="")
    parser.add_argument("--fail", default="")
    parser.add_argument("--interval", type=float, default=30.0)
    options = parser.parse_args()
    labels = dict(pair.split("=", 1) for pair in options.labels.split(",") if pair)
    client = OpAMPClient(
        endpoint=options.endpoint,
        headers={"Authorization": f"Bearer {options.secret}"} if options.secret else None,
        agent_identifying_attributes={"service.name": options.name, "service.version": "1.2.3"},
        agent_non_identifying_attributes={"os.type": "linux", "host.name": "interop", **labels},
    )
    client.update_effective_config({"local": {"level": "info"}}, content_type="application/json")
    agent = OpAMPAgent(interval=options.interval, callbacks=Callbacks(options.fail), client=client)
    agent.start()
    for line in sys.stdin:
        if line.strip() == "stop":
            break
        say("error", error=f"unknown command {line.strip()!r}")
    agent.stop(timeout=5)
    say("stopped")


if __name__ == "__main__":
    main()
