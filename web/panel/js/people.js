// Who is in the room, and how to ask someone else in.

import { build, icon, initials, one, rebuild, say, sayAt } from "./dom.js";
import { clock, t } from "./words.js";
import { signal } from "./wall.js";

const IN_CALL = new Set(["in_room", "reconnecting", "leaving"]);

/** Fill the short list beside the keys, and the long one of the page People. */
export function drawPeople(state) {
  const here = IN_CALL.has(state.state);
  const people = here ? state.people : [];
  one("#present").hidden = people.length === 0;
  const language = document.documentElement.lang;
  rebuild(one('[data-list="present"]'), [people, language], () => people.map(short));
  rebuild(one('[data-list="people"]'), [here, state.people, state.name, state.mic, state.camera, state.quality, state.since, language], () =>
    here ? [ourselves(state), ...people.map(long), people.length ? null : nobody("people.alone")].filter(Boolean) : [nobody("people.none")],
  );
}

const face = (name, kiosk) => build("span", { class: `face ${kiosk ? "kiosk" : ""}`, "aria-hidden": "true" }, initials(name));
const microphone = (person) => icon(person.microphone === "on" ? "mic" : "mic-off", t(`person.mic.${person.microphone}`));
const camera = (person) => icon(person.camera === "on" ? "camera" : "camera-off", t(`person.camera.${person.camera}`));
const nobody = (key) => build("li", { class: "item empty" }, t(key));

function short(person) {
  return build("li", { class: "item" }, face(person.name), build("div", { class: "grow b" }, build("bdi", {}, person.name)), microphone(person));
}

function long(person) {
  const says = person.speaking ? "people.speaking" : person.microphone === "on" ? "people.here" : "people.silent";
  return build(
    "li",
    { class: "item" },
    face(person.name),
    build("div", { class: "grow" }, build("p", { class: "b" }, build("bdi", {}, person.name)), build("p", {}, t(says))),
    microphone(person),
    camera(person),
    ...signal(person.link),
  );
}

function ourselves(state) {
  const us = { name: state.name, microphone: state.mic === "live" ? "on" : "off", camera: state.camera === "live" ? "on" : "off" };
  const since = state.since ? t("people.this_since", { time: clock(new Date(state.since)) }) : t("people.this");
  return build(
    "li",
    { class: "item" },
    face(us.name, true),
    build("div", { class: "grow" }, build("p", { class: "b" }, us.name), build("p", {}, since)),
    microphone(us),
    camera(us),
    ...signal(state.quality?.score),
  );
}

/** Show the invitation with its QR code, where there is one. */
export function drawInvitation(state) {
  const guest = state.guest?.link ? state.guest : null;
  one("#invitation").hidden = !guest;
  if (!guest) return;
  const address = one(".address");
  rebuild(address, guest.address, () => {
    const [host, ...path] = guest.address.split("/");
    return [host, build("wbr"), `/${path.join("/")}`];
  });
  const code = one("#code");
  if (code.dataset.link !== guest.link) {
    code.dataset.link = guest.link;
    code.src = `invitation.svg?rev=${state.rev}`;
  }
  one("#copy").dataset.link = guest.link;
}

/** Copy the invitation. Over plain HTTP a page gets no clipboard; the old way works there. */
export async function copyInvitation(key) {
  const link = key.dataset.link;
  let copied = false;
  if (navigator.clipboard) {
    copied = await navigator.clipboard.writeText(link).then(() => true, () => false);
  }
  if (!copied) {
    const field = build("textarea", { class: "unseen", readonly: true });
    field.value = link;
    document.body.append(field);
    field.select();
    copied = document.execCommand("copy");
    field.remove();
    key.focus();
  }
  const words = t(copied ? "guest.copied" : "guest.select");
  say(one("span", key), words);
  sayAt("polite", words);
  setTimeout(() => say(one("span", key), t("guest.copy")), 3000);
}
