// The drawn front plate: press and release of two buttons, and what the three lamps show.

import { all, one, say, sayAt } from "./dom.js";
import { Refused, send } from "./api.js";
import { t } from "./words.js";

const KEYS = { m: "mute", l: "leave" };

/** What is down, by whom: a button is pressed with the first finger and released with the last. */
const holders = { mute: new Set(), leave: new Set() };
let order = Promise.resolve();

/** One after the other: a release must never overtake its press. */
function report(button, action) {
  order = order.then(() =>
    send("POST", "front-panel", { button, action }, { keepalive: action === "release" }).then(
      () => complain(null),
      (error) => complain(error),
    ),
  );
}

function complain(error) {
  const note = one("#front-note");
  note.hidden = !error;
  if (!error) return;
  if (!(error instanceof Refused)) throw error;
  say(one("strong", note), t("front.note"));
  say(one(".grow > span", note), error.message);
}

function press(button, by) {
  const wasUp = holders[button].size === 0;
  holders[button].add(by);
  if (wasUp) report(button, "press");
  show(button);
}

function release(button, by) {
  if (!holders[button].delete(by)) return;
  if (holders[button].size === 0) report(button, "release");
  show(button);
}

function releaseAll() {
  for (const button of Object.keys(holders)) for (const by of [...holders[button]]) release(button, by);
}

function show(button) {
  one(`.push[data-button="${button}"]`).setAttribute("aria-pressed", String(holders[button].size > 0));
  one(`[data-hold="${button}"]`).setAttribute("aria-pressed", String(holders[button].has("hold")));
}

/** Wire the plate. `shown()` tells whether it is the page in view, for the keyboard. */
export function wireFront(shown) {
  for (const push of all(".push")) {
    const { button } = push.dataset;
    push.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      push.setPointerCapture(event.pointerId);
      press(button, `pointer ${event.pointerId}`);
    });
    for (const end of ["pointerup", "pointercancel", "lostpointercapture"]) {
      push.addEventListener(end, (event) => release(button, `pointer ${event.pointerId}`));
    }
    push.addEventListener("contextmenu", (event) => event.preventDefault());
    push.addEventListener("keydown", (event) => {
      if (event.key !== " " && event.key !== "Enter") return;
      event.preventDefault();
      if (!event.repeat) press(button, "key");
    });
    push.addEventListener("keyup", (event) => (event.key === " " || event.key === "Enter") && release(button, "key"));
    push.addEventListener("blur", () => release(button, "key"));
  }
  for (const hold of all("[data-hold]")) {
    const { hold: button } = hold.dataset;
    hold.addEventListener("click", () => (holders[button].has("hold") ? release(button, "hold") : press(button, "hold")));
  }
  addEventListener("keydown", (event) => {
    const button = KEYS[event.key.toLowerCase()];
    if (!button || !shown() || event.repeat || event.ctrlKey || event.metaKey || event.altKey) return;
    press(button, "letter");
  });
  addEventListener("keyup", (event) => {
    const button = KEYS[event.key.toLowerCase()];
    if (button) release(button, "letter");
  });
  // A button must not stay down because its finger went elsewhere.
  addEventListener("blur", releaseAll);
  addEventListener("pagehide", releaseAll);
  return { releaseAll };
}

/** Show the lamps as the kiosk drives them (`state.lamps`). */
export function drawLamps(state) {
  for (const lamp of ["live", "mute", "status"]) {
    const pattern = state.lamps?.[lamp] ?? "off";
    for (const element of all(`[data-lamp="${lamp}"]`)) {
      element.toggleAttribute("data-lit", pattern !== "off");
      if (element.dataset.pattern !== pattern) element.dataset.pattern = pattern;
    }
    sayAt(`lamp-${lamp}`, t(`lamp.${lamp}`, { pattern: t(`pattern.${pattern}`) }));
  }
  sayAt("lamp-live-means", t(`live.${live(state)}`));
  sayAt("lamp-mute-means", t(`mute.${mute(state)}`));
  sayAt("lamp-status-means", t(`status.${state.state}`, {}, state.state));
  one('.push[data-button="mute"]').setAttribute("aria-label", t("front.mute"));
  one('.push[data-button="leave"]').setAttribute("aria-label", t("front.leave"));
}

function live(state) {
  if (state.camera_live) return state.mic_live && state.lamps.mute === "off" ? "both" : "camera";
  return state.mic_live ? "mic" : "none";
}

function mute(state) {
  if (state.lamps.mute === "solid") return "lit";
  if (state.lamps.mute === "blink_0_5hz") return "absent";
  if (state.lamps.live === "fast_4hz") return "held";
  return state.state === "in_room" ? "heard" : "idle";
}
