// One visit to a room, through the SDK. Says what the stage has to show; knows nothing of the document.

import { Meter, Speakers } from "./loudness.js";

const LISTEN_EVERY_MS = 100;
const WEAK_UP_TO = 1; // of five levels of network quality: one bar, as on the wall

/**
 * Events: "change" (anything that shows), "joined" and "left" (detail: the name), "refused" (detail: the SDK's error),
 * "over" (detail: `{ ours, error }`; `ours` when the guest left, `error` null when let out by somebody).
 */
export class Session extends EventTarget {
  #room;
  #devices;
  #meters = new Map(); // participant SID → { track, meter }
  #speakers = new Speakers();
  #speaking = new Set();
  #dominant = null;
  #main = null;
  #listening;
  #ours = false;

  constructor(room, devices) {
    super();
    this.#room = room;
    this.#devices = devices;
    this.reconnecting = false;
    room.participants.forEach((participant) => this.#meet(participant));
    room.on("participantConnected", (participant) => {
      this.#meet(participant);
      this.#tell("joined", participant.identity);
      this.#tell("change");
    });
    room.on("participantDisconnected", (participant) => {
      this.#part(participant);
      this.#tell("left", participant.identity);
      this.#tell("change");
    });
    room.localParticipant.on("networkQualityLevelChanged", () => this.#tell("change"));
    room.on("dominantSpeakerChanged", (participant) => {
      this.#dominant = participant?.sid ?? null;
      this.#tell("change");
    });
    room.on("reconnecting", () => {
      this.reconnecting = true;
      this.#tell("change");
    });
    room.on("reconnected", () => {
      this.reconnecting = false;
      this.#tell("change");
    });
    room.on("disconnected", (_, error) => {
      clearInterval(this.#listening);
      for (const { meter } of this.#meters.values()) meter.close();
      this.#tell("over", { ours: this.#ours, error: error ?? null });
    });
    this.#listening = setInterval(() => this.#listen(), LISTEN_EVERY_MS);
  }

  get name() {
    return this.#room.name;
  }

  /** Whether our own link is so bad that the others notice; not while it is unknown (null), or gone (0). */
  get weak() {
    const level = this.#room.localParticipant.networkQualityLevel;
    return level > 0 && level <= WEAK_UP_TO;
  }

  /** Who else is here: `{ sid, name, video, audio, muted, away, speaking, main }`, in order of arrival. */
  people() {
    const people = [...this.#room.participants.values()].map((participant) => {
      const audio = firstOf(participant.audioTracks);
      const video = firstOf(participant.videoTracks, (publication) => publication.track?.isEnabled && !publication.track.isSwitchedOff);
      return {
        sid: participant.sid,
        name: participant.identity,
        video: video?.track ?? null,
        audio: audio?.track ?? null,
        muted: !audio?.isTrackEnabled,
        away: participant.state === "reconnecting",
        speaking: this.#speaking.has(participant.sid) || participant.sid === this.#dominant,
        main: false,
      };
    });
    const main = this.#mainOf(people);
    if (main) main.main = true;
    return people;
  }

  // Who speaks is large, and stays so until someone else speaks: nothing jumps in a silence.
  #mainOf(people) {
    const dominant = people.find(({ sid }) => sid === this.#dominant);
    const current = people.find(({ sid }) => sid === this.#main);
    const speaker = dominant ?? (current?.speaking ? current : people.find(({ speaking }) => speaking));
    const main = speaker ?? current ?? people.find(({ video }) => video) ?? people[0];
    if (speaker) this.#main = speaker.sid;
    else if (!current) this.#main = main?.sid ?? null;
    return main;
  }

  /** Publish a device that was opened in the call. */
  async publish(track) {
    try {
      await this.#room.localParticipant.publishTrack(track);
    } catch (error) {
      this.#tell("refused", error);
    }
  }

  unpublish(track) {
    this.#room.localParticipant.unpublishTrack(track);
  }

  leave() {
    this.#ours = true;
    this.#room.disconnect();
  }

  #meet(participant) {
    const change = () => this.#tell("change");
    for (const event of [
      "trackSubscribed", "trackUnsubscribed", "trackPublished", "trackUnpublished", "trackEnabled", "trackDisabled",
      "trackSwitchedOff", "trackSwitchedOn", "reconnecting", "reconnected",
    ]) {
      participant.on(event, change);
    }
    participant.on("trackSubscribed", (track) => track.kind === "audio" && this.#measure(participant.sid, track));
    participant.on("trackUnsubscribed", (track) => track.kind === "audio" && this.#forget(participant.sid, track));
    participant.audioTracks.forEach(({ track }) => track && this.#measure(participant.sid, track));
  }

  #part(participant) {
    this.#forget(participant.sid);
  }

  #measure(sid, track) {
    this.#forget(sid);
    this.#meters.set(sid, { track, meter: new Meter(track.mediaStreamTrack) });
  }

  #forget(sid, track) {
    const measured = this.#meters.get(sid);
    if (!measured || (track && measured.track !== track)) return;
    measured.meter.close();
    this.#meters.delete(sid);
  }

  #listen() {
    const levels = new Map([...this.#meters].map(([sid, { track, meter }]) => [sid, track.isEnabled ? meter.level() : 0]));
    const speaking = this.#speakers.hear(levels, performance.now());
    if (speaking.size === this.#speaking.size && [...speaking].every((sid) => this.#speaking.has(sid))) return;
    this.#speaking = speaking;
    this.#tell("change");
  }

  #tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}

function firstOf(publications, fits = () => true) {
  return [...publications.values()].find((publication) => fits(publication)) ?? null;
}
