"""What `connect` may be given, and what `get_stats` gives."""

import ssl
from types import SimpleNamespace

import pytest
from aiortc import RTCRtpReceiver

from appliance.client import encoded_media
from appliance.client.options import ConnectOptions, is_loopback
from appliance.client.stats import LocalTrackStats, RemoteTrackStats, stats_report


@pytest.mark.parametrize(
    ("url", "signaling"),
    [
        ("http://127.0.0.1:8080", "ws://127.0.0.1:8080/signaling"),
        ("https://rooms.example.org/", "wss://rooms.example.org/signaling"),
        ("https://example.org/video", "wss://example.org/video/signaling"),
        ("http://[::1]:8080", "ws://[::1]:8080/signaling"),
    ],
)
def test_the_signaling_address_follows_from_the_base_address(url: str, signaling: str) -> None:
    assert ConnectOptions(url=url).signaling_url() == signaling


@pytest.mark.parametrize("url", ["ws://host", "rooms.example.org", "ftp://host/", "http://", ""])
def test_what_is_no_web_address_is_refused_by_name(url: str) -> None:
    with pytest.raises(ValueError, match="must be http://host:port or https://host:port"):
        ConnectOptions(url=url).signaling_url()


def test_plain_http_needs_no_tls_and_https_checks_the_certificate() -> None:
    assert ConnectOptions(url="http://host").tls() is None
    checked = ConnectOptions(url="https://host").tls()
    assert checked is not None
    assert checked.verify_mode is ssl.CERT_REQUIRED
    own = ssl.create_default_context()
    assert ConnectOptions(url="https://host", ssl_context=own).tls() is own


def test_an_authority_file_that_is_not_there_is_an_error() -> None:
    with pytest.raises(OSError, match="No such file"):
        ConnectOptions(url="https://host", ca_file="/nowhere/ca.pem").tls()


def test_loopback_is_told_from_the_address_alone() -> None:
    assert ConnectOptions(url="http://localhost:8080").is_loopback()
    assert ConnectOptions(url="http://127.0.0.2:8080").is_loopback()
    assert ConnectOptions(url="http://[::1]:8080").is_loopback()
    assert not ConnectOptions(url="http://192.0.2.1:8080").is_loopback()
    assert is_loopback("::1%lo")
    assert not is_loopback("rooms.example.org")


def test_the_stacks_report_becomes_ours() -> None:
    raw = {
        "a": SimpleNamespace(
            id="outbound-rtp_1", type="outbound-rtp", kind="video", ssrc=5, packetsSent=9, bytesSent=900
        ),
        "b": SimpleNamespace(id="remote-inbound-rtp_1", type="remote-inbound-rtp", packetsLost=2, roundTripTime=0.03),
        "c": SimpleNamespace(
            id="inbound-rtp_2", type="inbound-rtp", kind="audio", ssrc=6, packetsReceived=50, packetsLost=1, jitter=3
        ),
        "d": SimpleNamespace(id="transport_3", type="transport", bytesSent=1000, bytesReceived=2000),
    }

    report = stats_report("pc", raw)

    assert (report.peer_connection_id, report.bytes_sent, report.bytes_received) == ("pc", 1000, 2000)
    assert report.local_tracks == (
        LocalTrackStats(kind="video", ssrc=5, packets_sent=9, bytes_sent=900, packets_lost=2, round_trip_time_s=0.03),
    )
    assert report.remote_tracks == (
        RemoteTrackStats(kind="audio", ssrc=6, packets_received=50, packets_lost=1, jitter=3),
    )


def test_an_aiortc_that_has_changed_inside_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(RTCRtpReceiver, "_send_rtcp_pli")

    with pytest.raises(ImportError, match=r"no RTCRtpReceiver\._send_rtcp_pli"):
        encoded_media._check_insides()
