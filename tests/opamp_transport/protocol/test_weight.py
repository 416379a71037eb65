"""Counting a message's parts agrees with the schema and with what protobuf makes of the bytes."""

from __future__ import annotations

import time

import pytest
from google.protobuf.descriptor import Descriptor
from google.protobuf.message import Message
from hypothesis import given, settings
from hypothesis import strategies as st

from opamp_transport.proto import opamp_pb2
from opamp_transport.protocol.errors import MalformedMessage
from opamp_transport.protocol.weight import AGENT_TO_SERVER, MOST_PARTS, PARTS_AT_ONCE, Shape, check_parts, parts
from tests.opamp_transport.protocol.wire import UID, UID_FIELD, key_values, length_delimited, report_body, varint


def _parts(message: Message) -> int:
    """The same number from the decoded message; what proto3 leaves out is not on the wire."""
    count = 0
    for field, value in message.ListFields():
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            child = field.message_type.fields_by_name["value"].message_type
            for entry in value.values():
                # Writers put both fields of a map's entry, empty or not.
                count += 1 + 2 + (_parts(entry) if child is not None else 0)
        elif field.is_repeated:
            count += len(value) + sum(_parts(item) for item in value if isinstance(item, Message))
        else:
            count += 1 + (_parts(value) if isinstance(value, Message) else 0)
    return count


def _full(levels: int = 3) -> opamp_pb2.AgentToServer:
    health = opamp_pb2.ComponentHealth(healthy=True, status="ok", attributes=key_values({"a": [1, {"b": b"c"}, None]}))
    for level in range(levels):
        health = opamp_pb2.ComponentHealth(status=f"level {level}", component_health_map={"x": health, "y": health})
    components = opamp_pb2.ComponentDetails(metadata=key_values({"k": "v", "l": {"m": 1.5}}))
    return opamp_pb2.AgentToServer(
        instance_uid=UID.bytes,
        sequence_num=300,
        health=health,
        agent_description=opamp_pb2.AgentDescription(
            identifying_attributes=key_values({"service.name": "x", "n": 5}),
            non_identifying_attributes=key_values({"nested": {"deep": [[[]]]}}),
        ),
        custom_capabilities=opamp_pb2.CustomCapabilities(capabilities=["a", "b", "c"]),
        available_components=opamp_pb2.AvailableComponents(
            hash=b"h",
            components={"r": opamp_pb2.ComponentDetails(sub_component_map={"otlp": components}), "p": components},
        ),
        package_statuses=opamp_pb2.PackageStatuses(
            packages={
                "p": opamp_pb2.PackageStatus(
                    name="p", download_details=opamp_pb2.PackageDownloadDetails(download_percent=1.0)
                )
            }
        ),
    )


class TestParts:
    def test_the_shape_names_every_message_field_of_the_schema(self) -> None:
        seen: set[tuple[int, str]] = set()

        def compare(shape: Shape, descriptor: Descriptor) -> None:
            if (id(shape), descriptor.full_name) in seen:
                return
            seen.add((id(shape), descriptor.full_name))
            wanted = {field.number: field.message_type for field in descriptor.fields if field.message_type}
            assert sorted(shape) == sorted(wanted), descriptor.full_name
            for number, child in wanted.items():
                compare(shape[number], child)

        compare(AGENT_TO_SERVER, opamp_pb2.AgentToServer.DESCRIPTOR)
        assert len(seen) > 20

    def test_it_counts_what_protobuf_finds(self) -> None:
        message = _full()
        assert parts(message.SerializeToString(), 10_000) == _parts(message) > 100

    @settings(deadline=None)
    @given(st.binary(max_size=300) | st.binary(max_size=300).map(lambda tail: UID_FIELD + tail))
    def test_any_bytes_are_counted_and_never_more_than_there_are(self, body: bytes) -> None:
        assert parts(body, 1_000) <= len(body)

    def test_counting_ends_above_the_limit(self) -> None:
        assert parts(b"\x20\x01" * 1_000_000, 50) == 51

    @pytest.mark.parametrize("depth", [10, 1_000, 100_000])
    def test_nesting_takes_no_recursion(self, depth: int) -> None:
        body = b""
        for _ in range(min(depth, 5_000)):
            body = length_delimited(6, length_delimited(2, body))
        assert parts(length_delimited(5, body), 10**6) >= min(depth, 5_000)

    @pytest.mark.rule("S-100", "S-111")
    @pytest.mark.parametrize("part", [b"\x0a\x00", b"\x12\x00", bytes.fromhex("12060a016b12010a")])
    def test_tens_of_millions_of_tiny_parts_are_refused_before_anything_is_built(self, part: bytes) -> None:
        description = part * (16 * 1024**2 // len(part))
        begun = time.process_time()
        with pytest.raises(MalformedMessage, match=f"more than {MOST_PARTS}"):
            check_parts(UID_FIELD + b"\x1a" + varint(len(description)) + description)
        assert time.process_time() - begun < 5

    def test_a_large_configuration_is_few_parts(self) -> None:
        config = opamp_pb2.EffectiveConfig()
        config.config_map.config_map["collector.yaml"].body = b"x" * 10_000_000
        check_parts(report_body(effective_config=config))


def test_a_thread_may_rest_while_it_counts() -> None:
    rests: list[None] = []
    body = b"\x08\x01" * (3 * PARTS_AT_ONCE + 1)
    assert parts(body, MOST_PARTS, lambda: rests.append(None)) == 3 * PARTS_AT_ONCE + 1
    assert len(rests) == 3
    with pytest.raises(MalformedMessage):
        check_parts(b"\x08\x01" * (MOST_PARTS + 1), lambda: rests.append(None))
    assert len(rests) == 3 + MOST_PARTS // PARTS_AT_ONCE
