// The line of light, painted from what the kiosk computed (`state.line`). Nothing is decided here.

import { build, icon } from "./dom.js";
import { known, t } from "./words.js";

const RIGHT = { connected: "paper", dashes: "dashes", marks: "marks", long_short: "long_short" };

/** Build the Line. Its sentence is on the wall around it, so it is hidden from readers. */
export function paintLine(line) {
  const right = build("i", { class: `half ${RIGHT[line.right.kind] ?? ""}` });
  if (line.right.kind === "part") {
    const part = build("i", { class: "part" });
    part.style.setProperty("--part", `${Math.round(100 * Math.min(1, Math.max(0, line.right.part)))}%`);
    right.append(part);
  }
  return build(
    "div",
    { class: `line ${line.cut ? "is-cut" : ""}`, "aria-hidden": "true" },
    build("i", { class: `half ${line.left_lit ? "live" : ""}` }),
    line.cut && pill(line.cut, "cut"),
    right,
    line.left_pill && pill(line.left_pill, "at-left"),
    line.right_pill && pill(line.right_pill, "at-right"),
  );
}

function pill({ icon: name, word_key: key, tone, word }, place) {
  // Bars stand for a weak link here, as on the wall: one of four.
  return build("span", { class: `pill ${place} ${tone}` }, name === "signal" ? bars(1) : icon(name), build("span", {}, known(key) ? t(key) : (word ?? "")));
}

/** Build four bars of which the first `shown` are solid; the others stay faint, so that the scale is seen. */
export function bars(shown) {
  const drawn = icon("signal");
  for (const bar of [1, 2, 3, 4]) if (bar > shown) drawn.style.setProperty(`--b${bar}`, ".28");
  return drawn;
}

/** Say the Line as a sentence, from the state it was made of. */
export function lineSentence(state) {
  const { line, camera_live: seen } = state;
  const heard = line.left_lit && !line.cut && state.mic === "live";
  let here = line.left_lit ? "line.left_lit" : "line.left_dark";
  if (state.state === "in_room" && line.left_lit) {
    if (seen && heard) here = "line.seen_and_heard";
    else if (seen) here = "line.seen_not_heard";
    else if (heard) here = "line.heard_not_seen";
  }
  return `${t(here)}; ${t(`line.${line.right.kind}`)}.`;
}
