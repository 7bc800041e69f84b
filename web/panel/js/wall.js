// The small wall: what hangs on the wall, with initials where people's pictures are. The page never shows those.

import { build, icon, initials, one, rebuild } from "./dom.js";
import { bars, lineSentence, paintLine } from "./line.js";
import { called, clock, day, plural, t } from "./words.js";

const IN_CALL = new Set(["in_room", "leaving"]);
const OWN_PICTURE = new Set(["joining", "reconnecting"]);

/** Draw the wall. `silent`: the kiosk does not answer; what was last known is shown faint, the left half as it was. */
export function drawWall(wall, state, { silent, now }) {
  wall.classList.toggle("silent", silent);
  const shown = [state, silent, clock(now), document.documentElement.lang];
  rebuild(wall, shown, () => [
    build("div", { class: "in", "aria-hidden": "true" }, ...scene(state, now), paintLine(silent ? unsure(state.line) : state.line), foot(state, now)),
  ]);
  wall.setAttribute("aria-label", `${sentence(state)}. ${lineSentence(state)}`);
}

// Nobody knows whether a camera is still open: what was lit stays lit, and the link to the kiosk is what is missing.
const unsure = (line) => ({ ...line, right: { kind: "dashes", part: 0 } });

function scene(state, now) {
  if (IN_CALL.has(state.state)) {
    const alone = state.people.length ? [] : [name(state), sub(t("people.alone"))];
    return [...alone, ...tiles(state), ownTile(state, false)];
  }
  if (OWN_PICTURE.has(state.state)) return [name(state), sub(t(`state.${state.state}`, { room: roomOf(state) })), ownTile(state, true)];
  if (state.state === "idle") return [name(state), build("div", { class: "clock" }, clock(now)), beside(state, now)];
  return [name(state), sub(t(`state.${state.state}`, {}, state.state))];
}

// On the way to a room, or in it: the room; else the kiosk, as on the wall.
const roomOf = (state) => (state.room ? called(state.room.name, state.name) : state.name);
const name = (state) => build("div", { class: "name" }, state.name);
const sub = (text) => build("div", { class: "sub" }, text);

function beside(state, now) {
  const address = state.guest?.address;
  if (!address) return build("div", { class: "beside" }, day(now));
  const [host, ...path] = address.split("/");
  return build("div", { class: "beside" }, t("idle.phone"), build("br"), build("b", {}, host, build("wbr"), `/${path.join("/")}`));
}

// The places of geometry.md, in u. The small wall is 129 u high with the Line at 117, the wall 135 with the Line at 121.
const RAISED = 3.2;

function place(tile, [x, y, w, h]) {
  for (const [key, value] of Object.entries({ x, y, w, h })) tile.style.setProperty(`--${key}`, value.toFixed(3));
  return tile;
}

/** Return the places of `count` people, in the order they are shown. Pure. */
export function places(count) {
  if (count === 1) return [[0, 0, 240, 117]];
  const columns = count <= 4 ? 2 : count <= 9 ? 3 : 4;
  const width = (190 - 2 * (columns - 1)) / columns;
  const height = (width * 9) / 16;
  const rows = Math.ceil(count / columns);
  return Array.from({ length: count }, (_, index) => {
    const row = Math.floor(index / columns);
    return [42 + (index % columns) * (width + 2), 115 - RAISED - (rows - row) * height - (rows - row - 1) * 2, width, height];
  });
}

/** Return the places while somebody is large: theirs first, then a strip of up to six on the right. Pure. */
export function placesBeside(count) {
  const strip = Array.from({ length: Math.min(6, count - 1) }, (_, index) => [202.8, 6.6 - RAISED + index * 18.4, 29.2, 16.4]);
  return [[8, 6.6 - RAISED, 192.8, 108.4], ...strip];
}

/** Return who is large: whoever spoke last, where there are several. */
const spotlight = (state) => (state.people.length > 1 ? state.people.find((person) => person.sid === state.layout?.spotlight) : undefined);

function tiles(state) {
  const large = spotlight(state);
  const people = large ? [large, ...state.people.filter((person) => person !== large)] : state.people.slice(0, 16);
  const where = large ? placesBeside(people.length) : places(people.length);
  const rest = people.length - where.length;
  return where.map((box, index) => {
    const person = people[index];
    const small = large ? index > 0 : people.length > 4;
    const talks = person.speaking && people.length > 1 && !large;
    const look = `${people.length === 1 ? "full" : ""} ${small ? "small" : ""} ${talks ? "talks" : ""}`;
    const counts = rest > 0 && index === where.length - 1;
    return place(build("div", { class: `tile ${look}` }, counts ? `+${rest + 1}` : initials(person.name)), box);
  });
}

function ownTile(state, large) {
  const open = state.camera_live;
  const one = state.people.length === 1;
  const beside = spotlight(state) ? [10, 89.55, 36, 20.25] : [8, 94.9, 30, 16.9];
  const where = large ? [8, 53.3, 104, 58.5] : one ? [8, 87.05, 44, 24.75] : beside;
  return place(build("div", { class: `tile us ${open ? "" : "closed"}` }, icon(open ? "camera" : "camera-off")), where);
}

function foot(state, now) {
  const left = build("span", {});
  const right = build("span", {});
  if (state.camera_live) left.append(icon("camera"));
  if (state.mic_live && state.mic === "live") left.append(icon("mic"));
  if (state.state !== "idle") {
    left.append(roomOf(state));
    if (state.room && IN_CALL.has(state.state)) right.append(icon("people"), String(state.people.length + 1), ...signal(state.quality?.score));
    right.append(clock(now));
  }
  return build("div", { class: "foot" }, left, right);
}

/** The bars of the link: four, missing ones faint; none at all where nothing is known. */
export const signal = (score) => (score == null ? [] : [bars(Math.max(1, score))]);

function sentence(state) {
  if (state.state === "idle") return t("wall.idle");
  if (!IN_CALL.has(state.state)) return t("wall.state", { state: t(`state.${state.state}`, { room: roomOf(state) }) });
  if (!state.people.length) return t("wall.alone");
  const talking = state.people.filter((person) => person.speaking).map((person) => t("wall.speaks", { name: person.name }));
  return [plural("wall.people", state.people.length), ...talking].join("; ");
}

export const emptyWall = (wall) => {
  if (!one(".in", wall)) wall.append(build("div", { class: "in", "aria-hidden": "true" }, paintLine({ left_lit: false, right: { kind: "rest" } })));
  wall.setAttribute("aria-label", t("wall.unknown"));
};
