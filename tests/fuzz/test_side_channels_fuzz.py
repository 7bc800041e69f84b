"""Whatever arrives on a channel of media signaling: a message that can be written again, or RemoteProtocolError."""

import json
from collections.abc import Callable
from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.errors import RemoteProtocolError
from appliance.signaling.side_channels import (
    Channel,
    message_of_client,
    message_of_service,
    text_of,
)

WORDS = (  # noqa: SIM905 (one quoted word per line is unreadable)
    "ready network_quality track_priority render_hints publisher_hints client_reset active_speaker track_switch_off "
    "extension_transcriptions high low standard OK UNKNOWN_TRACK MT1 PA1"
).split()
KEYS = (  # noqa: SIM905
    "type participant off on track subscribe subscriber publisher id hints enabled render_dimensions width height "
    "result encodings layer_index ice send recv audio video bitrate rtt jitter fractionLost availableSend reportLevel "
    "remoteReportLevel local remotes sid level sendStats recvStats bandwidth latency actual available"
).split()

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-2, 6)
    | st.floats()
    | st.sampled_from([2**53, -(2**70), 10**400, 0.5, "\0", "\ud800", ""])
    | st.sampled_from(WORDS),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=6),
    max_leaves=25,
)
OBJECTS = st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=8)
KINDS = st.sampled_from(WORDS[:9])
CHANNELS = st.sampled_from(Channel)


@given(CHANNELS, st.text() | st.binary().map(lambda raw: raw.decode("latin-1")))
def test_any_text_is_read_or_refused_by_name(channel: Channel, text: str) -> None:
    for read in (message_of_client, message_of_service):
        try:
            message = read(channel, text)
        except RemoteProtocolError:
            continue
        assert text_of(message)


@given(KINDS, OBJECTS)
def test_what_was_read_once_is_read_the_same_from_what_is_written_of_it(kind: str, body: dict[str, Any]) -> None:
    text = json.dumps({**body, "type": kind})
    for channel, read in product(Channel, (message_of_client, message_of_service)):
        try:
            message = read(channel, text)
        except RemoteProtocolError:
            continue
        assert read(channel, text_of(message)) == message


@pytest.mark.parametrize("channel", Channel)
@pytest.mark.parametrize("read", [message_of_client, message_of_service])
def test_deep_nesting_is_refused_by_name(read: Callable[[Channel, str], object], channel: Channel) -> None:
    with pytest.raises(RemoteProtocolError, match="JSON"):
        read(channel, '{"type":' + "[" * 100_000)
