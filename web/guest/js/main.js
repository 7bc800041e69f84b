// The guest page: before, in, and after the call.

import { all, one, say, sayAt, swapIcon } from "./dom.js";
import { Devices } from "./devices.js";
import { lineOf, paint } from "./line.js";
import { Meter } from "./loudness.js";
import { Refusal, askForToken, invitationOf, refusalOfError, signalingUrl } from "./service.js";
import { Session } from "./session.js";
import { Stage } from "./stage.js";
import { elapsed, plural, speak, t } from "./words.js";

const COMPLAINT_MS = 8000;
const IMPATIENT_MS = 2000;
const RETRY_S = { room_full: 30, unreachable: 10, busy: 15 };
const video = window.Twilio?.Video;
const visit = invitationOf(location);

document.documentElement.lang = speak(navigator.languages ?? [navigator.language]);
for (const element of all("[data-words]")) say(element, t(element.dataset.words));
for (const element of all("[data-words-label]")) element.setAttribute("aria-label", t(element.dataset.wordsLabel));
sayAt("room", visit.name);
document.title = visit.name || document.title;

let page = "loading";
let link = "rest"; // the right half of the Line
let session = null;
let joinedAt = 0;
let retry = 0;
let wakeLock = null;
const wanted = { camera: true, mic: true }; // what the guest chose, whether or not there is a device

const devices = video ? new Devices(video) : null;
const stage = new Stage(one("#tiles"), one("#sound"), () => (one("#hear").hidden = false));

function turn(to) {
  page = to;
  document.body.dataset.page = to;
  for (const section of all("[data-shows]")) section.hidden = section.dataset.shows !== to;
}

// --- what shows

function draw() {
  if (!devices) return;
  const line = lineOf({ mic: devices.stateOf("mic"), camera: devices.stateOf("camera"), link, inRoom: page === "call" });
  paint(one(`#line-${page === "call" ? "call" : page === "end" ? "end" : "before"}`), line);
  if (page === "before") drawBefore();
  if (page === "call" && session) drawCall();
}

function drawBefore() {
  for (const which of ["camera", "mic"]) {
    const open = devices.stateOf(which) !== "closed";
    key(one(`#before-${which}`), which, open ? "on" : devices.trouble[which] && wanted[which] ? "none" : "off");
  }
  show(one("#preview-video"), devices.tracks.camera);
  sayAt("no-picture", devices.tracks.camera ? "" : t(devices.trouble.camera && wanted.camera ? "camera.none" : "camera.off"));
  drawHint();
  const go = one("#go");
  go.disabled = link === "part";
  say(one("span", go), t(link === "part" ? "before.joining" : "before.join", { room: visit.name }));
  measure(devices.tracks.mic);
}

function drawHint() {
  const { camera, mic } = devices.trouble;
  let words = "";
  if (asking) words = "device.asking";
  else if (camera && camera === mic) words = `device.${camera}`;
  else if (camera === "busy" || mic === "busy") words = "device.busy";
  else if (camera) words = `device.camera_${camera}`;
  else if (mic) words = `device.mic_${mic}`;
  const hint = one("#device-hint");
  hint.hidden = !words;
  if (words) say(one("span", hint), t(words));
}

function drawCall() {
  const people = session.people();
  stage.show(people);
  const you = one("#you");
  you.classList.toggle("no-video", devices.stateOf("camera") !== "open");
  show(one("#you-video"), devices.tracks.camera);
  key(one("#call-camera"), "camera", devices.stateOf("camera") === "open" ? "on" : "off");
  key(one("#call-mic"), "mic", devices.stateOf("mic") === "open" ? "on" : "muted");
  const minutes = Math.floor((performance.now() - joinedAt) / 60_000);
  const how = [plural("call.people", people.length + 1), minutes > 0 && t("call.minutes", { n: minutes })];
  sayAt("how-long", how.filter(Boolean).join(", "));
  const notice = noticeOf(session);
  one("#trouble").hidden = !notice;
  say(one("#trouble span"), notice);
  one("#call-leave").setAttribute("aria-label", t("call.leave_name"));
}

/** What is wrong now, in words, the gravest alone; "" if nothing is. */
function noticeOf({ reconnecting, weak }) {
  if (reconnecting) return t("call.reconnecting");
  if (performance.now() < complaint.until) return complaint.words;
  return weak ? t("call.weak") : "";
}

/** Show a key: what is, in word, icon, look and name. */
function key(button, which, state) {
  const on = state === "on";
  swapIcon(button, on ? which : `${which}-off`);
  say(one("span", button), t(`${which}.${state}`));
  button.classList.toggle("is-off", !on && state !== "muted");
  button.classList.toggle("is-muted", state === "muted");
  button.setAttribute("aria-pressed", String(which === "camera" ? on : !on));
  button.setAttribute("aria-label", t(`${which}.name`, { state: t(`word.${state}`) }));
}

/** Put a local track into a video element, once. */
function show(element, track) {
  if (element.shown === track) return;
  element.shown?.detach(element);
  element.shown = track;
  track?.attach(element);
}

let meter = null;
let metered = null;
function measure(track) {
  if (metered === track) return;
  meter?.close();
  metered = track;
  meter = track ? new Meter(track.mediaStreamTrack) : null;
}
setInterval(() => {
  if (page === "before" && meter) one("#before-mic").style.setProperty("--level", meter.level().toFixed(2));
}, 80);

// --- before

let asking = false;
let opening = Promise.resolve();

async function prepare() {
  clearTimeout(retry);
  link = "rest";
  turn("before");
  asking = true;
  draw();
  opening = open().then(() => {
    asking = false;
    draw();
  });
  await opening;
}

async function open() {
  if (wanted.camera && wanted.mic) await devices.openBoth();
  else for (const which of ["camera", "mic"]) if (wanted[which]) await devices.open(which);
}

for (const which of ["camera", "mic"]) {
  one(`#before-${which}`).addEventListener("click", async () => {
    if (devices.stateOf(which) !== "closed") {
      wanted[which] = false;
      await devices.close(which);
    } else {
      wanted[which] = true;
      await devices.open(which);
    }
    draw();
  });
}

one("#form").addEventListener("submit", (event) => {
  event.preventDefault();
  join();
});

function nameProblem(words) {
  const problem = one("#name-problem");
  problem.hidden = !words;
  say(problem, words ? t(words) : "");
  one("#name-field").classList.toggle("bad", Boolean(words));
  one("#name").setAttribute("aria-invalid", String(Boolean(words)));
  if (words) one("#name").focus();
}
one("#name").addEventListener("input", () => nameProblem(""));

async function join() {
  const name = one("#name").value.trim().replace(/\s+/gu, " ");
  if (!name) {
    nameProblem("name.missing");
    return;
  }
  nameProblem("");
  remember(name);
  clearTimeout(retry);
  link = "part";
  draw();
  try {
    const [{ token, room }] = await Promise.all([askForToken(visit, name), devicesOrImpatience()]);
    const tracks = [devices.tracks.mic, devices.tracks.camera].filter(Boolean);
    const connected = await video.connect(token, {
      name: room ?? visit.name,
      tracks,
      wsServer: signalingUrl(location, visit.prefix),
      insights: false,
      dominantSpeaker: true,
      networkQuality: true,
    });
    begin(connected);
    publishLate(tracks);
  } catch (error) {
    await refuse(refusalOfError(error));
  }
}

// Whoever presses Join while the browser still asks for the devices is let in; they follow when they are open.
const devicesOrImpatience = () => Promise.race([opening, new Promise((done) => setTimeout(done, IMPATIENT_MS))]);

async function publishLate(published) {
  const visited = session;
  await opening;
  for (const track of Object.values(devices.tracks)) {
    if (track && !published.includes(track) && session === visited) await session?.publish(track);
  }
}

// --- in the call

function begin(room) {
  measure(null);
  session = new Session(room, devices);
  joinedAt = performance.now();
  link = "connected";
  session.addEventListener("change", () => {
    link = session?.reconnecting ? "dashes" : "connected";
    draw();
  });
  session.addEventListener("joined", ({ detail }) => say(one("#polite"), t("call.joined", { name: detail })));
  session.addEventListener("left", ({ detail }) => say(one("#polite"), t("call.left", { name: detail })));
  session.addEventListener("refused", ({ detail }) => trouble(t("refused.why", { detail: detail?.message ?? "" })));
  session.addEventListener("over", ({ detail }) => over(detail));
  turn("call");
  say(one("#polite"), t("call.in", { room: visit.name }));
  draw();
  stayAwake();
}

one("#call-mic").addEventListener("click", async () => {
  const track = devices.tracks.mic;
  if (track) {
    if (track.isEnabled) track.disable();
    else track.enable();
  } else {
    wanted.mic = true;
    await devices.open("mic");
    if (devices.tracks.mic && session) await session.publish(devices.tracks.mic);
    else complain("mic");
  }
  draw();
});

one("#call-camera").addEventListener("click", async () => {
  const track = devices.tracks.camera;
  if (track) {
    wanted.camera = false;
    session.unpublish(track);
    await devices.close("camera");
  } else {
    wanted.camera = true;
    await devices.open("camera");
    if (devices.tracks.camera && session) await session.publish(devices.tracks.camera);
    else complain("camera");
  }
  draw();
});

function complain(which) {
  const reason = devices.trouble[which];
  const words = reason === "busy" || reason === "insecure" ? `device.${reason}` : `device.${which}_${reason ?? "missing"}`;
  trouble(t(words));
}

let complaint = { words: "", until: 0 };
function trouble(words) {
  complaint = { words, until: performance.now() + COMPLAINT_MS };
  setTimeout(draw, COMPLAINT_MS + 50);
  draw();
}

one("#call-leave").addEventListener("click", () => session.leave());
one("#hear").addEventListener("click", () => {
  one("#hear").hidden = true;
  stage.hear();
});

async function stayAwake() {
  try {
    wakeLock = await navigator.wakeLock?.request("screen");
  } catch {
    wakeLock = null; // the battery is low, or the page is in the background
  }
}
document.addEventListener("visibilitychange", () => {
  if (page === "call" && document.visibilityState === "visible") stayAwake();
});

/** The visit is over: `ours` when the guest left, `error` null when somebody let the guest out. */
async function over({ ours, error }) {
  const minutes = Math.max(1, Math.round((performance.now() - joinedAt) / 60_000));
  session = null;
  wakeLock?.release();
  stage.clear();
  await devices.closeAll();
  for (const id of ["#you-video", "#preview-video"]) show(one(id), null);
  if (ours) {
    end({ about: plural("end.stay", minutes, { room: visit.name }), title: t("end.left"), why: t("end.off"), again: true });
    return;
  }
  const refusal = error === null ? new Refusal("removed") : refusalOfError(error);
  const reason = refusal.reason === "unreachable" ? "link_lost" : refusal.reason;
  end({ lead: "end.out", title: words(reason, "title"), why: words(reason, "why", refusal), code: codeOf(refusal), again: reason !== "room_ended" });
}

// --- not in the call

const words = (reason, which, refusal) => t(`${reason}.${which}`, { room: visit.name, detail: refusal?.detail ?? "" });

const codeOf = ({ reason, code }) => (reason === code ? reason : `${reason}, ${code}`);

async function refuse(refusal) {
  if (refusal.reason === "name_refused" || refusal.reason === "name_taken") {
    link = "rest";
    nameProblem(refusal.reason === "name_taken" ? "name.taken" : "name.refused");
    draw();
    return;
  }
  measure(null);
  await devices?.closeAll();
  const wait = RETRY_S[refusal.reason];
  link = wait ? "dashes" : "marks";
  end({
    lead: wait ? "end.not_yet" : "end.not",
    bad: !wait,
    title: words(refusal.reason, "title"),
    why: words(refusal.reason, "why", refusal),
    code: codeOf(refusal),
    reason: refusal.reason,
    wait,
  });
}

/** Show the last page. `wait`: seconds after which it tries again by itself; `again`: the guest may come back. */
function end({ lead, bad, about = "", title, why, code, reason, wait, again }) {
  if (!wait && !bad) link = "rest";
  turn("end");
  const leading = one("#lead");
  leading.hidden = !lead;
  leading.classList.toggle("error", Boolean(bad));
  if (lead) say(one("span", leading), t(lead));
  say(one("#about"), about);
  one("#about").hidden = !about;
  say(one("#headline"), title);
  say(one("#why"), why);
  const primary = one("#primary");
  primary.hidden = !(wait || again);
  one(".icon", primary).toggleAttribute("hidden", Boolean(wait));
  say(one("span", primary), t(wait ? "end.try" : "end.again"));
  primary.onclick = wait ? tryAgain : prepare;
  const secondary = one("#secondary");
  secondary.hidden = !wait;
  say(secondary, t("end.stop"));
  secondary.onclick = () => {
    clearTimeout(retry);
    end({ lead: "end.not", title, why: words(reason, "stopped"), code, again: true });
  };
  say(one("#code"), code ? `${t("end.off")} ${t("end.code", { code })}` : "");
  one("#code").hidden = !code;
  one("#headline").focus();
  if (wait) countDown(wait, reason);
  draw();
}

function countDown(seconds, reason) {
  const until = performance.now() + seconds * 1000;
  const tick = () => {
    const left = (until - performance.now()) / 1000;
    if (left <= 0) {
      tryAgain();
      return;
    }
    // The time alone stands out; the sentence around it is the language's.
    const [before, after] = t(`${reason}.why`, { room: visit.name, t: "\u0000" }).split("\u0000");
    const time = document.createElement("strong");
    time.textContent = elapsed(left);
    one("#why").replaceChildren(before, time, after ?? "");
    retry = setTimeout(tick, 250);
  };
  clearTimeout(retry);
  tick();
}

/** Camera and microphone were closed while waiting; a place may be free now. */
async function tryAgain() {
  clearTimeout(retry);
  await prepare();
  if (one("#name").value.trim()) await join();
}

// --- start

function remember(name) {
  try {
    localStorage.setItem("room-kiosk.name", name);
  } catch {
    // A private window keeps nothing; the name is typed again next time.
  }
}

function remembered() {
  try {
    return localStorage.getItem("room-kiosk.name") ?? "";
  } catch {
    return "";
  }
}

addEventListener("pagehide", () => session?.leave());
addEventListener("hashchange", () => location.reload());

devices?.addEventListener("change", draw);
devices?.addEventListener("lost", ({ detail: { track } }) => session?.unpublish(track));
one("#name").value = remembered();
setInterval(() => page === "call" && draw(), 10_000);

if (!video) {
  await refuse(new Refusal("page_broken"));
} else if (!visit.name || !visit.invitation) {
  await refuse(new Refusal("invitation_missing"));
} else if (typeof RTCPeerConnection === "undefined") {
  await refuse(new Refusal("unsupported"));
} else {
  await prepare();
}
