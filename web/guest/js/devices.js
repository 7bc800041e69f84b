// This device's camera and microphone, as the SDK's local tracks. Off means closed: its light goes out.
//
// A muted microphone in a call stays open, so that unmuting takes no time; the Line stays lit then, as it should.

const PROFILES = {
  camera: { name: "camera", width: { ideal: 1280 }, height: { ideal: 720 }, frameRate: { ideal: 24, max: 30 }, facingMode: "user" },
  mic: { name: "microphone", echoCancellation: true, noiseSuppression: true, autoGainControl: true },
};

/** Why a device is not there, from the browser's error: "denied", "missing", "busy", "insecure". */
export function reasonOf(error) {
  switch (error?.name) {
    case "NotAllowedError":
    case "PermissionDeniedError":
    case "SecurityError":
      return "denied";
    case "NotReadableError":
    case "AbortError":
    case "TrackStartError":
      return "busy";
    case "InsecureError":
      return "insecure";
    default:
      return "missing"; // NotFoundError, OverconstrainedError
  }
}

export class Devices extends EventTarget {
  #video;
  tracks = { camera: null, mic: null };
  trouble = { camera: null, mic: null };
  #turn = { camera: Promise.resolve(), mic: Promise.resolve() };

  /** @param video the SDK's namespace. */
  constructor(video) {
    super();
    this.#video = video;
  }

  /** Ask for both at once, so that the browser asks once; where that fails, for each alone. Never throws. */
  async openBoth() {
    if (!navigator.mediaDevices?.getUserMedia) {
      this.trouble = { camera: "insecure", mic: "insecure" };
      this.#changed();
      return;
    }
    try {
      const tracks = await this.#video.createLocalTracks({ audio: PROFILES.mic, video: PROFILES.camera });
      for (const track of tracks) this.#have(track.kind === "video" ? "camera" : "mic", track);
      this.#changed();
    } catch (error) {
      if (reasonOf(error) === "denied") {
        // Refused for both, or for one of them only; asking for one alone tells, and asks nobody again.
        await this.open("mic");
        await this.open("camera");
      } else {
        await Promise.all([this.open("camera"), this.open("mic")]);
      }
    }
  }

  /** Open one device. Never throws: `trouble` says why there is none. */
  open(which) {
    return this.#inTurn(which, async () => {
      if (this.tracks[which]) return;
      try {
        if (!navigator.mediaDevices?.getUserMedia) throw Object.assign(new Error(), { name: "InsecureError" });
        const create = which === "camera" ? this.#video.createLocalVideoTrack : this.#video.createLocalAudioTrack;
        this.#have(which, await create.call(this.#video, PROFILES[which]));
        this.trouble[which] = null;
      } catch (error) {
        this.trouble[which] = reasonOf(error);
      }
    });
  }

  /** Close one device: its light goes out when this returns. */
  close(which) {
    return this.#inTurn(which, async () => {
      const track = this.tracks[which];
      this.tracks[which] = null;
      track?.stop();
    });
  }

  async closeAll() {
    await Promise.all([this.close("camera"), this.close("mic")]);
  }

  /** "open", "disabled" (open, nothing leaves) or "closed", as the Line wants to know. */
  stateOf(which) {
    const track = this.tracks[which];
    if (!track || track.isStopped) return "closed";
    return track.isEnabled ? "open" : "disabled";
  }

  #have(which, track) {
    this.tracks[which] = track;
    track.on("stopped", () => {
      // Pulled out, or taken by the system: what the page shows follows what is.
      if (this.tracks[which] !== track) return;
      this.tracks[which] = null;
      this.trouble[which] = "missing";
      this.dispatchEvent(new CustomEvent("lost", { detail: { which, track } }));
      this.#changed();
    });
  }

  #inTurn(which, work) {
    this.#turn[which] = this.#turn[which].then(work).then(() => this.#changed());
    return this.#turn[which];
  }

  #changed() {
    this.dispatchEvent(new Event("change"));
  }
}
