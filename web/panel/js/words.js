// What the page says, by key. Keys say what is; hints say what a press does. English is complete, others fall back to it.

const EN = {
  "nav.pages": "Pages",
  "nav.control": "Control",
  "nav.people": "People",
  "nav.buttons": "Buttons",
  "role.operator": "Operator",
  "options.title": "Language and keys",
  "options.language": "Language",
  "options.shortcuts": "Keys M, C and L control the room",

  "state.booting": "Starting",
  "state.setup": "Set-up",
  "state.idle": "Ready",
  "state.joining": "Joining {room}",
  "state.in_room.one": "In the room with 1 other",
  "state.in_room.other": "In the room with {n} others",
  "state.alone": "Alone in the room",
  "state.reconnecting": "Reconnecting",
  "state.leaving": "Leaving",
  "state.error": "Cannot join rooms",
  "state.updating": "Updating",
  "state.stopping": "Shutting down",
  "state.unknown": "Waiting for the kiosk",

  "idle.privacy": "Camera and microphone are off",
  "idle.phone": "Join from a phone",
  "idle.no_room": "No room is set that it could join",
  "join.default": "Join {room}",
  "join.cancel": "Cancel",
  "join.hint": "Press Cancel to stay out",
  "error.retry": "Try {room} again",
  "update.power": "Leave the power on",
  "link.lost": "No link for {t}",
  "since": "Since {time}",
  "muted.button": "muted by the button on the wall",
  "muted.touch": "muted on the wall's screen",
  "muted.page": "muted from a page",
  "muted.mqtt": "muted by home automation",
  "muted.cli": "muted by a command",
  "muted.privacy": "muted by the privacy switch",

  "camera.live": "Camera on",
  "camera.off": "Camera off",
  "camera.blocked": "Camera switched off",
  "camera.absent": "No camera",
  "camera.name": "Camera, {state}",
  "mic.live": "Microphone on",
  "mic.on": "Microphone on",
  "mic.muted": "Muted",
  "mic.blocked": "Switched off",
  "mic.absent": "No microphone",
  "mic.held": "Heard while you hold",
  "mic.name": "Microphone, {state}",
  "word.on": "on",
  "word.off": "off",
  "word.muted": "muted",
  "word.absent": "not there",
  "word.blocked": "switched off",
  "leave": "Leave",
  "leave.name": "Leave the room",
  "link.weak": "Weak link",
  "room.recorded": "Recorded",
  "speaker.title": "Loudness",

  "note.unmute": "Only the room can unmute.",
  "note.unmute_how": "Press Mute on the wall to be heard.",
  "note.camera": "Only the room can turn the camera on.",
  "note.camera_how": "Leave and join from the wall, or ask someone there.",
  "note.refused": "Not done.",
  "silence.kiosk": "The kiosk does not answer.",
  "silence.kiosk_then": "This page tries again by itself. What you see is what was last known.",
  "silence.panel": "No connection to the kiosk.",
  "silence.panel_then": "Check that this device is on the same network. This page tries again by itself.",
  "back": "The kiosk answers again.",

  "people.this": "This room",
  "people.this_since": "This room, since {time}",
  "people.speaking": "Speaking now",
  "people.silent": "Silent",
  "people.here": "In the room",
  "people.none": "Nobody is in a room here.",
  "people.alone": "Nobody else is here yet.",
  "person.mic.on": "Microphone on",
  "person.mic.off": "Microphone off",
  "person.mic.none": "No microphone",
  "person.camera.on": "Camera on",
  "person.camera.off": "Camera off",
  "guest.title": "Ask someone in",
  "guest.how": "Point a phone here, or send the address.",
  "guest.code": "QR code of the invitation",
  "guest.copy": "Copy the address",
  "guest.copied": "Copied",
  "guest.select": "Select the address to copy it",

  "wall.idle": "The wall shows the room name and the time",
  "wall.state": "The wall shows: {state}",
  "wall.alone": "The wall shows that nobody else is here",
  "wall.people.one": "The wall shows one person",
  "wall.people.other": "The wall shows {n} people",
  "wall.speaks": "{name} is speaking",
  "wall.unknown": "Nothing is known of the wall",

  "line.left_lit": "A camera or microphone is open in this room",
  "line.left_dark": "Camera and microphone are closed",
  "line.seen_not_heard": "This room is seen but not heard",
  "line.heard_not_seen": "This room is heard but not seen",
  "line.seen_and_heard": "This room is seen and heard",
  "line.rest": "in no room",
  "line.connected": "connected",
  "line.part": "under way",
  "line.dashes": "the link is lost, trying again",
  "line.marks": "something needs attention",
  "line.long_short": "set-up",

  "front.drawing": "Drawing of the kiosk's front",
  "front.mute": "Mute button",
  "front.leave": "Leave button",
  "front.hold_mute": "Hold Mute",
  "front.hold_leave": "Hold Leave",
  "front.how": "Press the drawn buttons as you would the real ones. On a keyboard: M and L.",
  "front.note": "The press did not arrive.",
  "lamp.live": "Live: {pattern}",
  "lamp.mute": "Mute: {pattern}",
  "lamp.status": "Status: {pattern}",
  "pattern.off": "dark",
  "pattern.solid": "lit",
  "pattern.blink_1hz": "blinks each second",
  "pattern.blink_0_5hz": "blinks slowly",
  "pattern.fast_4hz": "blinks fast",
  "pattern.double": "double blink",
  "pattern.triple": "triple blink",
  "pattern.breathe": "breathes",
  "pattern.long_short": "long and short",
  "live.both": "Camera and microphone are open",
  "live.camera": "The camera is delivering pictures",
  "live.mic": "The microphone is open",
  "live.none": "Camera and microphone are closed",
  "mute.lit": "Nobody hears this room",
  "mute.absent": "There is no microphone",
  "mute.held": "Heard while Mute is held",
  "mute.heard": "The room is heard",
  "mute.idle": "In no room",
  "status.idle": "Ready, in no room",
  "status.booting": "Starting",
  "status.joining": "Joining the room",
  "status.in_room": "Connected to the room",
  "status.reconnecting": "The link is lost, trying again",
  "status.error": "Something needs somebody",
  "status.updating": "Installing an update",
  "status.setup": "Waiting for set-up",
};

const DE = {
  "nav.pages": "Seiten",
  "nav.control": "Steuerung",
  "nav.people": "Personen",
  "nav.buttons": "Tasten",
  "role.operator": "Bedienung",
  "options.title": "Sprache und Tasten",
  "options.language": "Sprache",
  "options.shortcuts": "Tasten M, C und L steuern den Raum",

  "state.booting": "Startet",
  "state.setup": "Einrichtung",
  "state.idle": "Bereit",
  "state.joining": "Verbindet mit {room}",
  "state.in_room.one": "Im Raum mit 1 weiteren Person",
  "state.in_room.other": "Im Raum mit {n} weiteren",
  "state.alone": "Allein im Raum",
  "state.reconnecting": "Verbindet neu",
  "state.leaving": "Verlässt den Raum",
  "state.error": "Kann keinen Raum betreten",
  "state.updating": "Aktualisierung läuft",
  "state.stopping": "Wird beendet",
  "state.unknown": "Wartet auf den Kiosk",

  "idle.privacy": "Kamera und Mikrofon sind aus",
  "idle.phone": "Mit dem Telefon teilnehmen",
  "idle.no_room": "Kein Raum ist eingestellt, den er betreten könnte",
  "join.default": "{room} betreten",
  "join.cancel": "Abbrechen",
  "join.hint": "Abbrechen drücken: draußen bleiben",
  "error.retry": "{room} erneut versuchen",
  "update.power": "Strom nicht abschalten",
  "link.lost": "Keine Verbindung seit {t}",
  "since": "Seit {time}",
  "muted.button": "stumm durch die Taste an der Wand",
  "muted.touch": "stumm am Bildschirm der Wand",
  "muted.page": "stumm durch eine Seite",
  "muted.mqtt": "stumm durch die Haussteuerung",
  "muted.cli": "stumm durch einen Befehl",
  "muted.privacy": "stumm durch den Schalter",

  "camera.live": "Kamera an",
  "camera.off": "Kamera aus",
  "camera.blocked": "Kamera abgeschaltet",
  "camera.absent": "Keine Kamera",
  "camera.name": "Kamera, {state}",
  "mic.live": "Mikrofon an",
  "mic.on": "Mikrofon an",
  "mic.muted": "Stumm",
  "mic.blocked": "Abgeschaltet",
  "mic.absent": "Kein Mikrofon",
  "mic.held": "Hörbar, solange gehalten",
  "mic.name": "Mikrofon, {state}",
  "word.on": "an",
  "word.off": "aus",
  "word.muted": "stumm",
  "word.absent": "nicht da",
  "word.blocked": "abgeschaltet",
  "leave": "Verlassen",
  "leave.name": "Raum verlassen",
  "link.weak": "Schwache Verbindung",
  "room.recorded": "Aufnahme läuft",
  "speaker.title": "Lautstärke",

  "note.unmute": "Nur im Raum lässt sich das Mikrofon einschalten.",
  "note.unmute_how": "Mute an der Wand drücken zum Sprechen.",
  "note.camera": "Nur im Raum lässt sich die Kamera einschalten.",
  "note.camera_how": "Verlassen und an der Wand neu betreten, oder dort jemanden fragen.",
  "note.refused": "Nicht ausgeführt.",
  "silence.kiosk": "Der Kiosk antwortet nicht.",
  "silence.kiosk_then": "Die Seite versucht es von selbst wieder. Zu sehen ist der letzte bekannte Stand.",
  "silence.panel": "Keine Verbindung zum Kiosk.",
  "silence.panel_then": "Prüfen, ob dieses Gerät im selben Netz ist. Die Seite versucht es von selbst wieder.",
  "back": "Der Kiosk antwortet wieder.",

  "people.this": "Dieser Raum",
  "people.this_since": "Dieser Raum, seit {time}",
  "people.speaking": "Spricht gerade",
  "people.silent": "Still",
  "people.here": "Im Raum",
  "people.none": "Hier ist niemand in einem Raum.",
  "people.alone": "Noch ist niemand sonst da.",
  "person.mic.on": "Mikrofon an",
  "person.mic.off": "Mikrofon aus",
  "person.mic.none": "Kein Mikrofon",
  "person.camera.on": "Kamera an",
  "person.camera.off": "Kamera aus",
  "guest.title": "Jemanden dazuholen",
  "guest.how": "Telefon darauf richten, oder die Adresse senden.",
  "guest.code": "QR-Code der Einladung",
  "guest.copy": "Adresse kopieren",
  "guest.copied": "Kopiert",
  "guest.select": "Adresse zum Kopieren markieren",

  "wall.idle": "Die Wand zeigt den Raumnamen und die Uhrzeit",
  "wall.state": "Die Wand zeigt: {state}",
  "wall.alone": "Die Wand zeigt, dass niemand sonst da ist",
  "wall.people.one": "Die Wand zeigt eine Person",
  "wall.people.other": "Die Wand zeigt {n} Personen",
  "wall.speaks": "{name} spricht",
  "wall.unknown": "Von der Wand ist nichts bekannt",

  "line.left_lit": "In diesem Raum ist eine Kamera oder ein Mikrofon offen",
  "line.left_dark": "Kamera und Mikrofon sind geschlossen",
  "line.seen_not_heard": "Dieser Raum wird gesehen, aber nicht gehört",
  "line.heard_not_seen": "Dieser Raum wird gehört, aber nicht gesehen",
  "line.seen_and_heard": "Dieser Raum wird gesehen und gehört",
  "line.rest": "in keinem Raum",
  "line.connected": "verbunden",
  "line.part": "unterwegs",
  "line.dashes": "Verbindung verloren, neuer Versuch läuft",
  "line.marks": "etwas braucht Hilfe",
  "line.long_short": "Einrichtung",

  "front.drawing": "Zeichnung der Vorderseite",
  "front.mute": "Taste Mute",
  "front.leave": "Taste Leave",
  "front.hold_mute": "Mute halten",
  "front.hold_leave": "Leave halten",
  "front.how": "Die gezeichneten Tasten wie die echten drücken. Auf der Tastatur: M und L.",
  "front.note": "Der Druck kam nicht an.",
  "lamp.live": "Live: {pattern}",
  "lamp.mute": "Mute: {pattern}",
  "lamp.status": "Status: {pattern}",
  "pattern.off": "dunkel",
  "pattern.solid": "leuchtet",
  "pattern.blink_1hz": "blinkt jede Sekunde",
  "pattern.blink_0_5hz": "blinkt langsam",
  "pattern.fast_4hz": "blinkt schnell",
  "pattern.double": "blinkt doppelt",
  "pattern.triple": "blinkt dreifach",
  "pattern.breathe": "atmet",
  "pattern.long_short": "lang und kurz",
  "live.both": "Kamera und Mikrofon sind offen",
  "live.camera": "Die Kamera liefert Bilder",
  "live.mic": "Das Mikrofon ist offen",
  "live.none": "Kamera und Mikrofon sind geschlossen",
  "mute.lit": "Niemand hört diesen Raum",
  "mute.absent": "Es gibt kein Mikrofon",
  "mute.held": "Hörbar, solange Mute gehalten ist",
  "mute.heard": "Der Raum ist zu hören",
  "mute.idle": "In keinem Raum",
  "status.idle": "Bereit, in keinem Raum",
  "status.booting": "Startet",
  "status.joining": "Betritt den Raum",
  "status.in_room": "Mit dem Raum verbunden",
  "status.reconnecting": "Verbindung verloren, neuer Versuch läuft",
  "status.error": "Etwas braucht jemanden",
  "status.updating": "Aktualisierung läuft",
  "status.setup": "Wartet auf Einrichtung",
};

export const CATALOGUES = { en: EN, de: DE };

let language = "en";

export function speak(wanted) {
  language = wanted in CATALOGUES ? wanted : "en";
}

export const spoken = () => language;

/**
 * A room's name as its people know it: where the kiosk is named after the room, as the kiosk writes it. The screen shows
 * it by the same rule (appliance/kiosk/scenes.py). Pure.
 */
export function called(room, kiosk) {
  return room.toLowerCase() === kiosk.toLowerCase() ? kiosk : room;
}

/** Return the words of a key; an unknown key gives the fallback, or itself, so that a gap is seen. */
export function t(key, values = {}, fallback = key) {
  const text = CATALOGUES[language][key] ?? EN[key] ?? fallback;
  return text.replace(/\{(\w+)\}/g, (_, name) => String(values[name] ?? ""));
}

/** Return the words of `key.one`, `key.other` … as the language counts. */
export function plural(key, n, values = {}) {
  const form = new Intl.PluralRules(language).select(n);
  return t(`${key}.${form}`, { n, ...values }, t(`${key}.other`, { n, ...values }));
}

export const known = (key) => key in EN;

/** The reader's own kind of the language, `en-GB`: it decides how dates are written. */
const region = () => navigator.languages.find((tag) => tag.toLowerCase().split("-")[0] === language) ?? language;

export function clock(date) {
  return new Intl.DateTimeFormat(region(), { hour: "2-digit", minute: "2-digit", hourCycle: "h23" }).format(date);
}

export function day(date) {
  return new Intl.DateTimeFormat(region(), { weekday: "long", day: "numeric", month: "long" }).format(date);
}

/** 84 → "1:24" */
export function elapsed(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}
