"""The m-sections of one peer connection: what the client said of each, what we last said, what fills it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from appliance.errors import RemoteProtocolError
from appliance.media_engine import RoomMediaPolicy
from appliance.sfu.description import (
    EXTENSIONS,
    Codec,
    LocalSection,
    RemoteDescription,
    RemoteSection,
    choose_codecs,
)

if TYPE_CHECKING:
    from appliance.sfu.consumer import Consumer, OutSlot
    from appliance.sfu.producer import InStream

MEDIA_KINDS = ("audio", "video")


@dataclass(slots=True, kw_only=True)
class Section:
    """One m-section, for the life of the connection.

    `slot` is made when we first send in it and stays; `consumer` fills it now. `described_sending` is what the last
    completed exchange said of our side: while it is true the slot must not change hands, since the client would not
    notice a new msid (signaling.md 3.2). `is_refused`: the client does not receive here. `is_barred`: nothing is taken
    in here, video in an audio-only room. `is_known`: the client has described it too.
    """

    mid: str
    kind: str
    remote: RemoteSection
    codecs: tuple[Codec, ...] = ()
    slot: OutSlot | None = None
    consumer: Consumer | None = None
    described_sending: bool = False
    is_refused: bool = False
    is_barred: bool = False
    is_known: bool = True
    streams: list[InStream] = field(default_factory=list)

    @property
    def is_media(self) -> bool:
        return self.kind in MEDIA_KINDS and not self.is_rejected

    @property
    def is_rejected(self) -> bool:
        return self.remote.rejected or (self.kind in MEDIA_KINDS and not self.codecs)

    @property
    def is_free(self) -> bool:
        """Tell whether a subscription may be put here."""
        return self.is_media and self.consumer is None and not self.described_sending and not self.is_refused

    @property
    def needs_offer(self) -> bool:
        return self.is_media and (self.consumer is not None) != self.described_sending

    def local(self, *, as_answer: bool) -> LocalSection:
        """Return our side of it; an answer sends only where the client receives."""
        remote = self.remote
        if self.is_rejected or self.kind not in (*MEDIA_KINDS, "application"):
            return LocalSection(
                mid=self.mid, kind=self.kind, rejected=True, formats=remote.formats, protocol=remote.protocol
            )
        if self.kind == "application":
            return LocalSection(mid=self.mid, kind=self.kind, formats=remote.formats, protocol=remote.protocol)
        consumer, slot = self.consumer, self.slot
        sends = consumer is not None and slot is not None and (remote.client_receives or not as_answer)
        section = LocalSection(
            mid=self.mid,
            kind=self.kind,
            we_send=sends,
            we_receive=remote.client_sends and not self.is_barred,
            codecs=self.codecs,
            extensions=remote.extensions,
            reduced_size=remote.reduced_size,
            protocol=remote.protocol,
        )
        if not sends or consumer is None or slot is None:
            return section
        return replace(
            section,
            msid=(consumer.producer.owner_sid, consumer.id),
            cname=consumer.producer.owner_sid,
            ssrc=slot.ssrc,
            rtx_ssrc=slot.rtx_ssrc if slot.has_rtx else None,
        )


class Sections:
    """All sections of a connection, in their order, and the client's numbers.

    The room's policy gives the order of video codecs. Numbers never change once they were given (signaling.md 4.9): the
    first section of each kind is the template of those we add.
    """

    def __init__(self, policy: RoomMediaPolicy) -> None:
        self._video_codecs = policy.video_codecs
        self._audio_only = policy.audio_only
        self._templates: dict[str, Section] = {}
        self._codecs: dict[int, Codec] = {}
        self._resending: set[int] = set()
        self._added = 0
        self.all: list[Section] = []
        self.extensions: dict[str, int] = {}

    def __iter__(self) -> Iterator[Section]:
        return iter(self.all)

    @property
    def data(self) -> Section | None:
        """The section for data channels, where there is one."""
        return next((s for s in self.all if s.kind == "application" and not s.is_rejected), None)

    @property
    def lacks_data(self) -> bool:
        """Tell whether a section for data channels can be added: there is none, and the client never refused one."""
        return not any(section.kind == "application" for section in self.all)

    @property
    def has_transport_cc(self) -> bool:
        """Tell whether the client takes transport-cc feedback for what it sends."""
        return any("transport-cc" in codec.feedback for codec in self._codecs.values())

    def codec_of(self, payload_type: int) -> Codec | None:
        return self._codecs.get(payload_type)

    def is_resending(self, payload_type: int) -> bool:
        """Tell whether packets of this type are retransmissions."""
        return payload_type in self._resending

    def by_mid(self, mid: str) -> Section | None:
        return next((section for section in self.all if section.mid == mid), None)

    def apply_offer(self, description: RemoteDescription) -> None:
        """Take the client's offer.

        Raises:
            RemoteProtocolError: a section is gone, or another stands in its place.
        """
        if len(description.sections) < len(self.all):
            raise RemoteProtocolError("an offer must keep every section of the last")
        for place, remote in enumerate(description.sections):
            known = self.all[place] if place < len(self.all) else None
            if known is None:
                self.all.append(self._new(remote))
            elif known.mid == remote.mid and known.kind == remote.kind:
                self._update(known, remote)
            elif known.is_rejected:
                self.all[place] = self._new(remote)
            else:
                raise RemoteProtocolError(f"section {remote.mid!r} stands where {known.mid!r} was")

    def apply_answer(self, description: RemoteDescription) -> None:
        """Take the client's answer to our offer.

        Raises:
            RemoteProtocolError: its sections are not those that we offered.
        """
        if [s.mid for s in description.sections] != [s.mid for s in self.all]:
            raise RemoteProtocolError("an answer must have the sections of the offer")
        for section, remote in zip(self.all, description.sections, strict=True):
            # What we offered stays: an answer may leave numbers out but has none of its own.
            self._update(
                section, replace(remote, extensions=section.remote.extensions, protocol=section.remote.protocol)
            )

    def _new(self, remote: RemoteSection) -> Section:
        section = Section(mid=remote.mid, kind=remote.kind, remote=remote)
        section.is_barred = self._audio_only and remote.kind == "video"
        if remote.kind in MEDIA_KINDS:
            section.codecs = choose_codecs(remote.codecs, self._video_codecs)
            self._learn(section)
        return section

    def _update(self, section: Section, remote: RemoteSection) -> None:
        if section.kind in MEDIA_KINDS and not section.codecs:
            section.codecs = choose_codecs(remote.codecs, self._video_codecs)
            self._learn(section)
        section.remote = remote
        section.is_known = True
        if remote.client_receives:
            section.is_refused = False

    def _learn(self, section: Section) -> None:
        if not section.codecs:
            return
        self._templates.setdefault(section.kind, section)
        for codec in section.codecs:
            self._codecs.setdefault(codec.payload_type, codec)
            if codec.rtx is not None:
                self._resending.add(codec.rtx)
        for uri, number in section.remote.extensions.items():
            if uri in EXTENSIONS:
                self.extensions.setdefault(uri, number)

    def can_receive(self, kind: str, codec: str | None) -> bool:
        """Tell whether the client can take this codec at all; None stands for not known yet."""
        template = self._templates.get(kind)
        return template is not None and (codec is None or any(c.name == codec for c in template.codecs))

    @property
    def unusable_kinds(self) -> frozenset[str]:
        """The kinds of media that the client has described, and never with a codec that we take."""
        described = {s.kind for s in self.all if s.kind in MEDIA_KINDS and not s.remote.rejected}
        return frozenset(described - self._templates.keys())

    def free_place(self, kind: str, *, in_answer: bool) -> Section | None:
        """Return a section to put a subscription in; an answer can only use those in which the client receives."""
        return next(
            (s for s in self.all if s.kind == kind and s.is_free and (s.remote.client_receives or not in_answer)), None
        )

    def add_media(self, kind: str) -> Section:
        """Add a section like the client's first of this kind; there is one where `can_receive` said so."""
        template = self._templates[kind]
        remote = replace(
            template.remote,
            mid=self._new_mid(),
            rejected=False,
            client_sends=False,
            client_receives=False,
            track_id=None,
            layers=(),
        )
        section = Section(mid=remote.mid, kind=kind, remote=remote, codecs=template.codecs)
        self.all.append(section)
        return section

    def add_data(self) -> Section:
        """Add the section for data channels."""
        remote = RemoteSection(
            mid=self._new_mid(), kind="application", formats="webrtc-datachannel", protocol="UDP/DTLS/SCTP"
        )
        section = Section(mid=remote.mid, kind="application", remote=remote, is_known=False)
        self.all.append(section)
        return section

    def _new_mid(self) -> str:
        while True:
            mid = f"s{self._added}"
            self._added += 1
            if self.by_mid(mid) is None:
                return mid

    def exchange_completed(self, described: Sequence[LocalSection]) -> None:
        """Remember what both sides agreed on: `described` is our side as it was sent."""
        for section, said in zip(self.all, described, strict=False):
            section.described_sending = said.we_send and section.remote.client_receives
            section.is_refused = said.we_send and not section.remote.client_receives
