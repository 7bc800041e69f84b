// How loud a track is, 0 to 1, and who of several people is speaking.

const SPEECH = 1 / 3; // of the meter: −40 dBFS; breathing and fans stay below
const BEGINS_AFTER_MS = 400; // geometry.md: the mark changes after so much speech …
const STAYS_MS = 1500; // … and stays at least so long
const PAUSE_MS = 300; // between words

let context = null;

function audioContext() {
  context ??= new AudioContext();
  if (context.state === "suspended") context.resume().catch(() => undefined);
  return context;
}

/** Measures one MediaStreamTrack until closed. */
export class Meter {
  #source;
  #analyser;
  #samples;

  constructor(mediaStreamTrack) {
    const audio = audioContext();
    this.#analyser = audio.createAnalyser();
    this.#analyser.fftSize = 1024;
    this.#samples = new Float32Array(this.#analyser.fftSize);
    this.#source = audio.createMediaStreamSource(new MediaStream([mediaStreamTrack]));
    this.#source.connect(this.#analyser);
  }

  /** 0 … 1: −60 dBFS … 0 dBFS. */
  level() {
    this.#analyser.getFloatTimeDomainData(this.#samples);
    let power = 0;
    for (const sample of this.#samples) power += sample * sample;
    const decibels = 10 * Math.log10(power / this.#samples.length + 1e-12);
    return Math.min(1, Math.max(0, (decibels + 60) / 60));
  }

  close() {
    this.#source.disconnect();
  }
}

/** Decides who speaks from levels that are handed in with the time. Pure: no clock, no sound. */
export class Speakers {
  #heard = new Map(); // key → { since, last, until }, ms

  /** Take levels (0 … 1, by key) of the moment `now` (ms); return the set of keys that speak. */
  hear(levels, now) {
    const speaking = new Set();
    for (const key of [...this.#heard.keys()]) if (!levels.has(key)) this.#heard.delete(key);
    for (const [key, level] of levels) {
      const heard = this.#heard.get(key) ?? { since: null, last: -Infinity, until: -Infinity };
      this.#heard.set(key, heard);
      if (level > SPEECH) {
        heard.since ??= now;
        heard.last = now;
        if (now - heard.since >= BEGINS_AFTER_MS) heard.until = now + STAYS_MS;
      } else if (now - heard.last > PAUSE_MS) {
        heard.since = null;
      }
      if (now <= heard.until) speaking.add(key);
    }
    return speaking;
  }
}
