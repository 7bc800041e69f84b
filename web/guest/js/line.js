// The line of light of this page. Left: this device's camera and microphone, as they really are. Right: the others.

import { build } from "./dom.js";
import { t } from "./words.js";

const RIGHT = { connected: "paper", part: "part", dashes: "dashes", marks: "marks" };

/**
 * Make the Line. Pure. `mic` and `camera`: "open", "disabled" (open, but nothing leaves) or "closed";
 * `link`: "rest", "part", "connected", "dashes", "marks"; `inRoom`: the others could see and hear, while the link holds.
 */
export function lineOf({ mic, camera, link, inRoom }) {
  const lit = mic !== "closed" || camera !== "closed";
  const heard = mic === "open";
  const seen = camera === "open";
  let left = lit ? "line.open" : "line.dark";
  if (inRoom && link === "connected") left = seen ? (heard ? "line.seen_and_heard" : "line.seen") : heard ? "line.heard" : "line.neither";
  return { lit, cut: inRoom && !heard, right: link, sentence: [left, `line.${link}`] };
}

/** Paint it, where it differs from what is painted. */
export function paint(place, line) {
  const sentence = line.sentence.map((key) => t(key)).join("; ");
  const key = JSON.stringify([line, sentence]);
  if (place.dataset.line === key) return;
  const before = place.firstChild;
  place.dataset.line = key;
  place.setAttribute("role", "img");
  place.setAttribute("aria-label", `${sentence}.`);
  const classes = [`half ${line.lit ? "live" : ""}`, "gap", `half ${RIGHT[line.right] ?? ""}`];
  if (!before) {
    place.append(build("div", { class: `line ${line.cut ? "is-cut" : ""}` }, ...classes.map((name) => build("i", { class: name }))));
    return;
  }
  before.className = `line ${line.cut ? "is-cut" : ""}`;
  classes.forEach((name, index) => {
    if (before.children[index].className !== name) before.children[index].className = name;
  });
}
