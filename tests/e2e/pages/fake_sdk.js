// Stands for the SDK where a test wants a room without a rooms service. The page under test must not notice.
// `fake` is the hand of the test: who arrives, who leaves, what fails.

(() => {
  class Emitter {
    #on = new Map();
    on(name, heard) {
      this.#on.set(name, [...(this.#on.get(name) ?? []), heard]);
      return this;
    }
    emit(name, ...values) {
      for (const heard of this.#on.get(name) ?? []) heard(...values);
    }
  }

  class Track extends Emitter {
    constructor(kind, mediaStreamTrack) {
      super();
      Object.assign(this, { kind, mediaStreamTrack, isEnabled: true, isStopped: false, isSwitchedOff: false });
      mediaStreamTrack.addEventListener("ended", () => {
        this.isStopped = true;
        this.emit("stopped", this);
      });
    }
    attach(element) {
      element.srcObject = new MediaStream([this.mediaStreamTrack]);
      return element;
    }
    detach(element) {
      element.srcObject = null;
    }
    enable() {
      this.isEnabled = this.mediaStreamTrack.enabled = true;
    }
    disable() {
      this.isEnabled = this.mediaStreamTrack.enabled = false;
    }
    stop() {
      this.mediaStreamTrack.stop();
      this.isStopped = true;
      this.emit("stopped", this);
    }
  }

  async function painted(picture) {
    const canvas = Object.assign(document.createElement("canvas"), { width: 640, height: 360 });
    const brush = canvas.getContext("2d");
    brush.fillStyle = picture;
    brush.fillRect(0, 0, 640, 360);
    if (/[/.]/.test(picture)) {
      const image = Object.assign(new Image(), { src: picture });
      await image.decode();
      const scale = Math.max(640 / image.width, 360 / image.height);
      brush.drawImage(image, (640 - image.width * scale) / 2, (360 - image.height * scale) / 2, image.width * scale, image.height * scale);
    }
    const stream = canvas.captureStream(5);
    setInterval(() => brush.fillRect(0, 0, 1, 1), 200);
    return stream.getVideoTracks()[0];
  }

  let context;
  function tone(loud) {
    context ??= new AudioContext();
    const to = context.createMediaStreamDestination();
    const gain = new GainNode(context, { gain: loud ? 0.5 : 0 });
    const source = new OscillatorNode(context, { frequency: 300 });
    source.connect(gain).connect(to);
    source.start();
    return { track: to.stream.getAudioTracks()[0], gain };
  }

  let count = 0;
  const publication = (track) => ({ trackSid: `MT${++count}`, kind: track.kind, track, isTrackEnabled: true, isSubscribed: true });

  const fake = {
    connects: [],
    published: [],
    unpublished: [],
    refuse: null,
    room: null,
    gains: {},

    async arrive({ identity, picture = null, loud = false, muted = false }) {
      const participant = Object.assign(new Emitter(), {
        sid: `PA${++count}`, identity, state: "connected", audioTracks: new Map(), videoTracks: new Map(),
      });
      const { track, gain } = tone(loud);
      fake.gains[identity] = gain;
      const audio = publication(new Track("audio", track));
      audio.isTrackEnabled = audio.track.isEnabled = !muted;
      participant.audioTracks.set(audio.trackSid, audio);
      if (picture) {
        const video = publication(new Track("video", await painted(picture)));
        participant.videoTracks.set(video.trackSid, video);
      }
      fake.room.participants.set(participant.sid, participant);
      fake.room.emit("participantConnected", participant);
      for (const published of [...participant.audioTracks.values(), ...participant.videoTracks.values()]) {
        participant.emit("trackSubscribed", published.track, published);
      }
    },
    find: (identity) => [...fake.room.participants.values()].find((participant) => participant.identity === identity),
    mute(identity, muted = true) {
      const [audio] = fake.find(identity).audioTracks.values();
      audio.isTrackEnabled = audio.track.isEnabled = !muted;
      fake.find(identity).emit(muted ? "trackDisabled" : "trackEnabled", audio);
    },
    leave(identity) {
      const participant = fake.find(identity);
      fake.room.participants.delete(participant.sid);
      fake.room.emit("participantDisconnected", participant);
    },
    dominant: (identity) => fake.room.emit("dominantSpeakerChanged", identity ? fake.find(identity) : null),
    quality(level) {
      fake.room.localParticipant.networkQualityLevel = level;
      fake.room.localParticipant.emit("networkQualityLevelChanged", level, null);
    },
    lose: () => fake.room.emit("reconnecting", Object.assign(new Error("Signaling connection disconnected"), { code: 53001 })),
    find_again: () => fake.room.emit("reconnected"),
    end: (code, message = "") => fake.room.emit("disconnected", fake.room, code ? Object.assign(new Error(message), { code }) : undefined),
  };
  window.fake = fake;

  async function captured(kind, constraints) {
    const stream = await navigator.mediaDevices.getUserMedia({ [kind]: constraints ?? true });
    return new Track(kind, stream.getTracks()[0]);
  }

  window.Twilio = {
    Video: {
      isSupported: true,
      createLocalVideoTrack: (constraints) => captured("video", constraints),
      createLocalAudioTrack: (constraints) => captured("audio", constraints),
      async createLocalTracks({ audio, video }) {
        const stream = await navigator.mediaDevices.getUserMedia({ audio, video });
        return stream.getTracks().map((track) => new Track(track.kind, track));
      },
      async connect(token, options) {
        fake.connects.push({ token, ...options, tracks: options.tracks.map(({ kind }) => kind) });
        if (fake.refuse) throw Object.assign(new Error(fake.refuse.message ?? ""), { code: fake.refuse.code });
        const room = Object.assign(new Emitter(), { name: options.name, participants: new Map(), state: "connected" });
        room.localParticipant = Object.assign(new Emitter(), {
          networkQualityLevel: null,
          publishTrack: async (track) => fake.published.push(track.kind),
          unpublishTrack: (track) => fake.unpublished.push(track.kind),
        });
        room.disconnect = () => room.emit("disconnected", room);
        fake.room = room;
        return room;
      },
    },
  };
})();
