// Everyone's picture: one tile a person, who speaks large. Tiles stay in the document while people stay in the room.

import { build, icon, initials, say } from "./dom.js";
import { t } from "./words.js";

export class Stage {
  #place;
  #sound;
  #tiles = new Map(); // participant SID → { tile, video, name, tag, initials, track }
  #voices = new Map(); // participant SID → { element, track }
  #onBlocked;

  /** @param onBlocked called when the browser refuses to play sound before a touch. */
  constructor(place, sound, onBlocked) {
    this.#place = place;
    this.#sound = sound;
    this.#onBlocked = onBlocked;
  }

  /** Show these people (see Session.people). */
  show(people) {
    this.#place.dataset.others = String(people.length);
    this.#place.style.setProperty("--rows", String(Math.max(1, Math.min(people.length - 1, 50))));
    const here = new Set(people.map(({ sid }) => sid));
    for (const sid of [...this.#tiles.keys()]) if (!here.has(sid)) this.#drop(sid);
    let beside = 0;
    for (const person of people) {
      const entry = this.#tiles.get(person.sid) ?? this.#add(person);
      const early = !person.main && beside++ < 2;
      this.#look(entry, person.video);
      entry.tile.className = [
        "stage", person.main && "main", early && "early", !hasPicture(entry) && "no-video",
        person.speaking && "talks", person.away && "away",
      ].filter(Boolean).join(" ");
      this.#listen(person);
      say(entry.name, person.name);
      say(entry.initials, initials(person.name));
      const marks = [person.muted && t("person.muted"), person.away && t("person.away")].filter(Boolean);
      entry.tile.setAttribute("aria-label", [person.name, ...marks].join(", "));
      entry.off.toggleAttribute("hidden", !person.muted);
    }
  }

  clear() {
    for (const sid of [...this.#tiles.keys()]) this.#drop(sid);
  }

  /** Try again to play what the browser held back; call it from a touch. */
  async hear() {
    await Promise.all([...this.#voices.values()].map(({ element }) => element.play().catch(() => this.#onBlocked())));
  }

  #add(person) {
    const video = build("video", { autoplay: true, muted: true, playsinline: true });
    video.muted = true; // the attribute alone does not count for a built element; sound has elements of its own
    const name = build("bdi");
    const off = icon("mic-off");
    const letters = build("span", { class: "initials", "aria-hidden": "true" });
    const tile = build("div", { class: "stage", role: "group" }, video, letters, build("span", { class: "tag", "aria-hidden": "true" }, off, name));
    const entry = { tile, video, name, off, initials: letters, track: null };
    video.addEventListener("loadeddata", () => tile.classList.toggle("no-video", !hasPicture(entry)));
    this.#tiles.set(person.sid, entry);
    this.#place.append(tile);
    return entry;
  }

  #look(entry, track) {
    if (entry.track === track) return;
    entry.track?.detach(entry.video);
    entry.track = track;
    track?.attach(entry.video);
  }

  #listen({ sid, audio }) {
    const voice = this.#voices.get(sid);
    if (voice?.track === audio) return;
    if (voice) {
      voice.track.detach(voice.element);
      voice.element.remove();
      this.#voices.delete(sid);
    }
    if (!audio) return;
    const element = build("audio", { autoplay: true });
    this.#sound.append(element);
    audio.attach(element);
    this.#voices.set(sid, { element, track: audio });
    element.play?.()?.catch((error) => error?.name === "NotAllowedError" && this.#onBlocked());
  }

  #drop(sid) {
    const entry = this.#tiles.get(sid);
    this.#look(entry, null);
    this.#listen({ sid, audio: null });
    entry.tile.remove();
    this.#tiles.delete(sid);
  }
}

/** Until a track's first picture has come there is nothing to see of it: the initials stay. */
const hasPicture = ({ track, video }) => track !== null && video.readyState >= HTMLMediaElement.HAVE_CURRENT_DATA;
