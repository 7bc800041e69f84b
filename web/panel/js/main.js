// The page: what the kiosk says, drawn; what a finger asks, sent. It holds no truth of its own.

import { all, one, say, sayAt, swapIcon } from "./dom.js";
import { Refused, send } from "./api.js";
import { drawInvitation, drawPeople, copyInvitation } from "./people.js";
import { drawLamps, wireFront } from "./front.js";
import { drawWall, emptyWall } from "./wall.js";
import { listen } from "./feed.js";
import { CATALOGUES, called, clock, elapsed, plural, speak, spoken, t } from "./words.js";

const PAGES = ["control", "people", "front"];
const BUSY_MS = 4000;
const CALL_STATES = new Set(["joining", "in_room", "reconnecting", "leaving"]);

let state = null;
let kioskAnswers = true;
let panelAnswers = true;
let refusal = null; // what was refused last: "mic", "camera" or words of the kiosk
let mutedBy = null;
const sent = new Map(); // command_id → what it was for

// --- remembered by this browser, never by the kiosk

const remembered = {
  get(key) {
    try {
      return localStorage.getItem(`room-kiosk.${key}`);
    } catch {
      return null; // private windows may keep nothing
    }
  },
  set(key, value) {
    try {
      localStorage.setItem(`room-kiosk.${key}`, value);
    } catch {
      sayAt("polite", "");
    }
  },
};

// --- news

listen((news) => {
  switch (news.kind) {
    case "state":
      heed(news.state);
      kioskAnswers = true;
      break;
    case "kiosk":
      kioskAnswers = news.answers;
      break;
    case "panel":
      panelAnswers = news.answers;
      break;
    case "outcome":
      if (news.outcome.ok === false && sent.has(news.outcome.command_id)) {
        refused(sent.get(news.outcome.command_id), news.outcome.error ?? {});
      }
      break;
  }
  draw();
});

function heed(next) {
  const was = state;
  state = next;
  if (next.mic !== "muted" || !CALL_STATES.has(next.state)) mutedBy = null;
  else if (next.mic_origin) mutedBy = next.mic_origin;
  else if (was && was.mic === "live") mutedBy = next.origin;
  if (next.mic === "live" && refusal === "mic") refusal = null;
  if (next.camera === "live" && refusal === "camera") refusal = null;
  if (!CALL_STATES.has(next.state)) refusal = refusal === "mic" || refusal === "camera" ? null : refusal;
  for (const busy of all("[aria-busy]")) busy.removeAttribute("aria-busy");
  if (was && was.rev !== next.rev) announce(was, next);
}

function announce(was, next) {
  const words = [];
  if (was.state !== next.state) words.push(headline());
  if (CALL_STATES.has(next.state)) {
    if (was.mic !== next.mic) words.push(t(`mic.${next.mic}`));
    if (was.camera !== next.camera) words.push(t(`camera.${next.camera}`));
  }
  if (words.length) say(one("#polite"), words.join(". "));
}

// --- drawing

function headline() {
  const room = called(state.room?.name ?? state.default_room ?? "", state.name);
  if (state.state === "in_room") return state.people.length ? plural("state.in_room", state.people.length) : t("state.alone");
  return t(`state.${state.state}`, { room }, state.state);
}

function subtitle(now) {
  const since = state.since ? new Date(state.since) : now;
  switch (state.state) {
    case "idle":
      return state.default_room ? t("idle.privacy") : `${t("idle.privacy")}. ${t("idle.no_room")}.`;
    case "joining":
      return t("join.hint");
    case "in_room": {
      const by = state.mic === "muted" && mutedBy ? `, ${t(`muted.${mutedBy}`, {}, t("mic.muted"))}` : "";
      return t("since", { time: clock(since) }) + by;
    }
    case "reconnecting":
      return t("link.lost", { t: elapsed((now - since) / 1000) });
    case "updating":
      return t("update.power");
    default:
      return state.detail ?? "";
  }
}

function draw() {
  const now = new Date();
  const silent = !panelAnswers || !kioskAnswers;
  document.body.dataset.kiosk = silent ? "silent" : state ? "answers" : "unknown";
  drawSilence(silent);
  if (!state) {
    emptyWall(one("#wall"));
    for (const key of ["title-narrow", "title-wide", "headline"]) sayAt(key, t("state.unknown"));
    return;
  }
  document.body.dataset.state = state.state;
  const page = pageShown();
  const title = page === "control" ? headline() : t(page === "people" ? "nav.people" : "nav.buttons");
  document.title = `${state.name}: ${title}`;
  sayAt("name", state.name);
  sayAt("place", state.location ?? "");
  sayAt("title-narrow", page === "control" ? state.name : title);
  sayAt("title-wide", title);
  sayAt("headline", headline());
  sayAt("since", subtitle(now));
  drawWall(one("#wall"), state, { silent, now });
  drawKeys(silent);
  drawNote();
  drawVolume();
  drawPeople(state);
  drawInvitation(state);
  drawLamps(state);
  one('[data-goes="front"]').hidden = state.front_panel !== "virtual";
  if (page === "front" && state.front_panel !== "virtual") location.hash = "#control";
}

function drawSilence(silent) {
  const banner = one("#silence");
  const which = panelAnswers ? "kiosk" : "panel";
  sayAt("silence-what", silent ? t(`silence.${which}`) : "");
  sayAt("silence-then", silent ? t(`silence.${which}_then`) : "");
  if (!banner.hidden && !silent) say(one("#polite"), t("back"));
  banner.hidden = !silent;
}

function drawKeys(silent) {
  const inCall = CALL_STATES.has(state.state);
  const join = one("#key-join");
  const canJoin = (state.state === "idle" || state.state === "error") && Boolean(state.default_room);
  join.hidden = !canJoin;
  say(one("span", join), t(state.state === "error" ? "error.retry" : "join.default", { room: called(state.default_room ?? "", state.name) }));
  join.disabled = silent;
  one("#keys").hidden = !inCall;

  const camera = one("#key-camera");
  keyLooks(camera, state.camera === "live" ? "camera" : "camera-off", t(`camera.${state.camera}`), state.camera === "live" ? "" : "is-off");
  camera.setAttribute("aria-label", t("camera.name", { state: t(`word.${state.camera === "live" ? "on" : state.camera}`) }));
  camera.setAttribute("aria-pressed", String(state.camera === "live"));
  camera.disabled = silent || (state.camera !== "live" && state.camera !== "off");

  const microphone = one("#key-microphone");
  const looks = { live: "", muted: "is-muted", blocked: "is-muted", absent: "is-cut" }[state.mic] ?? "";
  keyLooks(microphone, state.mic === "live" ? "mic" : "mic-off", t(`mic.${state.mic}`), looks);
  microphone.setAttribute("aria-label", t("mic.name", { state: t(`word.${state.mic === "live" ? "on" : state.mic}`) }));
  microphone.setAttribute("aria-pressed", String(state.mic === "muted"));
  microphone.disabled = silent || (state.mic !== "live" && state.mic !== "muted");

  const leave = one("#key-leave");
  const cancels = state.state === "joining";
  say(one("span", leave), t(cancels ? "join.cancel" : "leave"));
  leave.setAttribute("aria-label", t(cancels ? "join.cancel" : "leave.name"));
  leave.disabled = silent || state.state === "leaving";
}

function keyLooks(key, icon, words, looks) {
  swapIcon(key, icon);
  say(one("span", key), words);
  key.className = `key ${looks}`;
}

function drawNote() {
  const note = one("#note");
  note.hidden = !refusal;
  if (!refusal) return;
  const [what, how] =
    refusal === "mic"
      ? [t("note.unmute"), t("note.unmute_how")]
      : refusal === "camera"
        ? [t("note.camera"), t("note.camera_how")]
        : [t("note.refused"), refusal];
  swapIcon(note, refusal === "mic" || refusal === "camera" ? "lock" : "warning");
  say(one("strong", note), what);
  say(one(".grow > span", note), how);
}

function drawVolume() {
  const slider = one("#volume");
  if (!slider.matches(":active") && !slider.dataset.waits) slider.value = state.speaker?.volume ?? 0;
  one("#loudness").hidden = !state.speaker || state.speaker.state === "absent";
  slider.style.setProperty("--part", `${slider.value}%`);
  sayAt("volume", slider.value);
}

// --- asking

async function ask(key, purpose, method, path, body) {
  if (key.getAttribute("aria-busy")) return;
  key.setAttribute("aria-busy", "true");
  setTimeout(() => key.removeAttribute("aria-busy"), BUSY_MS);
  try {
    const { command_id: id } = await send(method, path, body);
    refusal = null;
    if (id) sent.set(id, purpose);
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    key.removeAttribute("aria-busy");
    if (error.code === "unreachable") panelAnswers = false;
    else if (error.code === "unavailable") kioskAnswers = false;
    else refused(purpose, { code: error.code, message: error.message });
  }
  draw();
}

function refused(purpose, { code, message }) {
  const policy = code === "policy_denied" && (purpose === "mic" || purpose === "camera");
  refusal = policy ? purpose : (message ?? code ?? "");
}

const room = () => ask(one("#key-join"), "join", "POST", "room/join", state.default_room ? { room: state.default_room } : {});
const leave = () => ask(one("#key-leave"), "leave", "POST", "room/leave");
const microphone = () => ask(one("#key-microphone"), "mic", "PUT", "mic", { muted: state.mic === "live" });
const camera = () => ask(one("#key-camera"), "camera", "PUT", "camera", { enabled: state.camera !== "live" });

one("#key-join").addEventListener("click", room);
one("#key-leave").addEventListener("click", leave);
one("#key-microphone").addEventListener("click", microphone);
one("#key-camera").addEventListener("click", camera);
one("#copy").addEventListener("click", (event) => copyInvitation(event.currentTarget));

const slider = one("#volume");
slider.addEventListener("input", () => {
  slider.dataset.waits = "1";
  slider.style.setProperty("--part", `${slider.value}%`);
  sayAt("volume", slider.value);
});
slider.addEventListener("change", async () => {
  await ask(slider, "volume", "PUT", "speaker", { volume: Number(slider.value) });
  delete slider.dataset.waits;
});

// --- pages, language, keyboard

function pageShown() {
  const wanted = location.hash.slice(1);
  return PAGES.includes(wanted) ? wanted : "control";
}

function turn() {
  const page = pageShown();
  document.body.dataset.page = page;
  for (const section of all("[data-shows]")) section.hidden = section.dataset.shows !== page;
  for (const link of all("[data-goes]")) {
    if (link.dataset.goes === page) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  if (page !== "front") front.releaseAll();
  scrollTo(0, 0);
  draw();
}

function sayWords() {
  document.documentElement.lang = spoken();
  for (const element of all("[data-words]")) say(element, t(element.dataset.words));
  for (const element of all("[data-words-label]")) element.setAttribute("aria-label", t(element.dataset.wordsLabel));
  for (const element of all("[data-words-alt]")) element.alt = t(element.dataset.wordsAlt);
  for (const choice of all('[name="language"]')) choice.checked = choice.value === spoken();
  draw();
}

const options = one("#options");
const optionsKey = one("#options-key");
function openOptions(open) {
  options.hidden = !open;
  optionsKey.setAttribute("aria-expanded", String(open));
}
optionsKey.addEventListener("click", () => openOptions(options.hidden));
addEventListener("pointerdown", (event) => {
  if (!options.contains(event.target) && !optionsKey.contains(event.target)) openOptions(false);
});
for (const choice of all('[name="language"]')) {
  choice.addEventListener("change", () => {
    remembered.set("language", choice.value);
    speak(choice.value);
    sayWords();
  });
}
const shortcuts = one("#shortcuts");
shortcuts.checked = remembered.get("shortcuts") !== "off";
shortcuts.addEventListener("change", () => remembered.set("shortcuts", shortcuts.checked ? "on" : "off"));

const front = wireFront(() => pageShown() === "front" && shortcuts.checked);

addEventListener("keydown", (event) => {
  if (event.key === "Escape" && !options.hidden) {
    openOptions(false);
    optionsKey.focus();
    return;
  }
  if (event.repeat || event.ctrlKey || event.metaKey || event.altKey) return;
  if (!shortcuts.checked || pageShown() !== "control" || !state || event.target.matches?.("input[type=text], textarea")) return;
  const key = { m: one("#key-microphone"), c: one("#key-camera"), l: one("#key-leave") }[event.key.toLowerCase()];
  if (key && !key.disabled && key.offsetParent) key.click();
});
addEventListener("hashchange", turn);

speak(remembered.get("language") ?? (document.documentElement.lang in CATALOGUES ? document.documentElement.lang : "en"));
sayWords();
turn();
setInterval(() => {
  if (!document.hidden) draw();
}, 1000);
