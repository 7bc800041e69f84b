"""The words of screen, lamps' sentences and Line, by key, in English and German. Pure.

Names of keys on the device stand in brackets and are drawn as key caps: "Press [Leave] to cancel". English is complete,
other languages fall back to it key by key. Plain verbs, second person, present tense; at most 8 words a line
(look/README.md 6). German uses infinitives and nouns.
"""

from collections.abc import Mapping
from datetime import date, time

Entry = str | Mapping[str, str]  # a text, or one for each plural form ("one", "other") of the value n

ENGLISH: dict[str, Entry] = {
    "starting": "Starting",
    "stopping": "Switching off",
    "leaving": "Leaving {room}",
    "idle.privacy": "Camera and microphone are off",
    "idle.hold": "Hold [Leave] 2 s to join {room}",
    "idle.phone": "Join from a phone",
    "idle.next": "Next at {time}",
    "idle.in": {"one": "{n} minute, starts in {m}", "other": "{n} minutes, starts in {m}"},
    "ring.calling": "Calling you",
    "ring.countdown": "Joins by itself in",
    "ring.media": "Joins muted, camera off",
    "ring.decline": "Press [Leave] to decline",
    "join.label": "Joining",
    "join.slow": "Taking longer than usual",
    "join.retry": "Next attempt in {n} s",
    "join.full": "Full. Next try in {n} s",
    "join.cancel": "Press [Leave] to cancel",
    "join.preview": "What the others will see",
    "join.both": "Camera and microphone on",
    "join.camera": "Camera on, microphone off",
    "join.microphone": "Microphone on, camera off",
    "join.neither": "Microphone and camera off",
    "join.camera_muted": "Camera on, muted",
    "join.muted": "Muted, camera off",
    "mic.on": "Microphone on",
    "mic.muted": "Muted",
    "mic.speaking": "Muted. Press [Mute] to be heard",
    "mic.absent": "No microphone",
    "mic.held": "Heard while you hold",
    "mic.blocked": "Switched off",
    "camera.on": "Camera on",
    "camera.off": "Camera off",
    "camera.absent": "No camera",
    "link.lost": "No link for {t}",
    "link.title": "Reconnecting",
    "link.kept": "Your room is kept as it was.",
    "link.next": "Next attempt in {n} s",
    "link.now": "Trying now",
    "link.preview": "Nobody sees this just now",
    "link.give_up": "Press [Leave] to give up",
    "link.weak": "Weak link",
    "room.recorded": "Recorded",
    "room.waiting": "Nobody else is here yet",
    "room.alone": "Alone. Leaves in {n} s",
    "room.full": "{room} is full. Next try in {n} s",
    "error.title": "Cannot join rooms",
    "error.service": "The rooms service does not answer",
    "error.token": "The rooms service refuses this kiosk",
    "error.identity": "The rooms service refuses this name",
    "error.media": "This kiosk and the room differ in video",
    "error.other": "Something here needs a look",
    "error.cable": "Check that the network cable is plugged in.",
    "error.admin": "If it is, give your administrator this code:",
    "error.tell": "Give your administrator this code:",
    "error.retry": "Retry in {n} s, or press [Leave] now",
    "error.press": "Press [Leave] to retry now",
    "error.details": "Details",
    "error.phone": "on your phone",
    "issue.room_not_found": "The room does not exist",
    "issue.room_name_invalid": "Room name not allowed",
    "issue.duplicate_identity": "Another device uses this name",
    "issue.mic_absent": "No microphone",
    "issue.camera_absent": "No camera",
    "issue.speaker_absent": "No loudspeaker",
    "update.title": "Updating",
    "update.power": "Leave the power on",
    "setup.hello": "Hello",
    "setup.below": "Let’s give this wall a room.",
    "setup.open": "Open [{url}]",
    "setup.code": "on your phone and enter the code",
    "panel.unmute": "Only the room can unmute",
    "key.join": "Join {room}",
    "key.leave": "Leave",
    "key.cancel": "Cancel",
    "key.retry": "Retry now",
    "line.idle": "Camera and microphone are off; not in a room.",
    "line.starting": "Starting; camera and microphone are off.",
    "line.setup": "Not set up yet; camera and microphone are off.",
    "line.joining": "Joining a room; this room is live.",
    "line.joining_dark": "Joining a room; camera and microphone are off.",
    "line.live": "This room is seen and heard; connected.",
    "line.heard": "This room is heard but not seen; connected.",
    "line.seen": "This room is seen but not heard; connected.",
    "line.silent": "This room is neither seen nor heard; connected.",
    "line.lost": "No link just now; this room is live.",
    "line.lost_dark": "No link just now; camera and microphone are off.",
    "line.error": "Cannot join rooms; camera and microphone are off.",
    "line.updating": "Updating; camera and microphone are off.",
    "line.open": "Not in a room; camera or microphone is still open.",
}

GERMAN: dict[str, Entry] = {
    "starting": "Startet",
    "stopping": "Schaltet ab",
    "leaving": "Verlässt {room}",
    "idle.privacy": "Kamera und Mikrofon sind aus",
    "idle.hold": "[Leave] 2 s halten: {room} betreten",
    "idle.phone": "Mit dem Telefon teilnehmen",
    "idle.next": "Nächster Termin {time}",
    "idle.in": {"one": "{n} Minute, beginnt in {m}", "other": "{n} Minuten, beginnt in {m}"},
    "ring.calling": "Ruft an",
    "ring.countdown": "Verbindet von selbst in",
    "ring.media": "Stumm und ohne Kamera",
    "ring.decline": "[Leave] drücken: ablehnen",
    "join.label": "Verbindet mit",
    "join.slow": "Dauert länger als sonst",
    "join.retry": "Neuer Versuch in {n} s",
    "join.full": "Voll. Neuer Versuch in {n} s",
    "join.cancel": "[Leave] drücken: abbrechen",
    "join.preview": "Was die anderen sehen werden",
    "join.both": "Kamera und Mikrofon an",
    "join.camera": "Kamera an, Mikrofon aus",
    "join.microphone": "Mikrofon an, Kamera aus",
    "join.neither": "Mikrofon und Kamera aus",
    "join.camera_muted": "Kamera an, stumm",
    "join.muted": "Stumm, Kamera aus",
    "mic.on": "Mikrofon an",
    "mic.muted": "Stumm",
    "mic.speaking": "Stumm. [Mute] drücken zum Sprechen",
    "mic.absent": "Kein Mikrofon",
    "mic.held": "Hörbar, solange gehalten",
    "mic.blocked": "Abgeschaltet",
    "camera.on": "Kamera an",
    "camera.off": "Kamera aus",
    "camera.absent": "Keine Kamera",
    "link.lost": "Keine Verbindung seit {t}",
    "link.title": "Verbindet neu",
    "link.kept": "Der Raum bleibt, wie er war.",
    "link.next": "Neuer Versuch in {n} s",
    "link.now": "Versuch läuft",
    "link.preview": "Das sieht gerade niemand",
    "link.give_up": "[Leave] drücken: aufgeben",
    "link.weak": "Schwache Verbindung",
    "room.recorded": "Aufnahme läuft",
    "room.waiting": "Noch niemand sonst da",
    "room.alone": "Allein. Verlässt den Raum in {n} s",
    "room.full": "{room} ist voll. Neuer Versuch in {n} s",
    "error.title": "Kann keinen Raum betreten",
    "error.service": "Der Raumdienst antwortet nicht",
    "error.token": "Der Raumdienst lehnt dieses Gerät ab",
    "error.identity": "Der Raumdienst lehnt diesen Namen ab",
    "error.media": "Gerät und Raum passen im Video nicht",
    "error.other": "Hier muss jemand nachsehen",
    "error.cable": "Prüfen, ob das Netzwerkkabel steckt.",
    "error.admin": "Wenn ja, diesen Code weitergeben:",
    "error.tell": "Diesen Code weitergeben:",
    "error.retry": "Neuer Versuch in {n} s, oder [Leave]",
    "error.press": "[Leave] drücken: neuer Versuch",
    "error.details": "Einzelheiten",
    "error.phone": "am Telefon",
    "issue.room_not_found": "Den Raum gibt es nicht",
    "issue.room_name_invalid": "Raumname nicht erlaubt",
    "issue.duplicate_identity": "Name ist schon vergeben",
    "issue.mic_absent": "Kein Mikrofon",
    "issue.camera_absent": "Keine Kamera",
    "issue.speaker_absent": "Kein Lautsprecher",
    "update.title": "Aktualisiert",
    "update.power": "Strom nicht abschalten",
    "setup.hello": "Hallo",
    "setup.below": "Diese Wand bekommt einen Raum.",
    "setup.open": "[{url}] öffnen",
    "setup.code": "und den Code eingeben",
    "panel.unmute": "Nur im Raum lässt sich das Mikrofon einschalten",
    "key.join": "{room} betreten",
    "key.leave": "Verlassen",
    "key.cancel": "Abbrechen",
    "key.retry": "Neuer Versuch",
    "line.idle": "Kamera und Mikrofon sind aus; in keinem Raum.",
    "line.starting": "Startet; Kamera und Mikrofon sind aus.",
    "line.setup": "Noch nicht eingerichtet; Kamera und Mikrofon sind aus.",
    "line.joining": "Verbindet mit einem Raum; Aufnahme hier an.",
    "line.joining_dark": "Verbindet mit einem Raum; Kamera und Mikrofon sind aus.",
    "line.live": "Zu sehen und zu hören; verbunden.",
    "line.heard": "Zu hören, nicht zu sehen; verbunden.",
    "line.seen": "Zu sehen, nicht zu hören; verbunden.",
    "line.silent": "Weder zu sehen noch zu hören; verbunden.",
    "line.lost": "Gerade keine Verbindung; Aufnahme hier an.",
    "line.lost_dark": "Gerade keine Verbindung; Kamera und Mikrofon sind aus.",
    "line.error": "Kann keinen Raum betreten; Kamera und Mikrofon sind aus.",
    "line.updating": "Aktualisiert; Kamera und Mikrofon sind aus.",
    "line.open": "In keinem Raum; Kamera oder Mikrofon noch offen.",
}

CATALOGUES: dict[str, dict[str, Entry]] = {"en": ENGLISH, "de": GERMAN}
PSEUDO = "en-XA"  # English with accents and 40 % longer: for tests, a language nobody wrote by hand

_WEEKDAYS = {
    "en": ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"),
    "de": ("Montag", "Dienstag", "Mittwoch", "Donnerstag", "Freitag", "Samstag", "Sonntag"),
}
_MONTHS = {
    "en": ("January", "February", "March", "April", "May", "June", "July", "August",
           "September", "October", "November", "December"),
    "de": ("Januar", "Februar", "März", "April", "Mai", "Juni", "Juli", "August",
           "September", "Oktober", "November", "Dezember"),
}  # fmt: skip
_ACCENTED = str.maketrans("aeiouycnsAEIOUYCNS", "áéíöüýçñšÁÉÍÖÜÝÇÑŠ")


class Words:
    """The catalogue of one language. `words("idle.hold", room="Harbour")` is the text."""

    def __init__(self, locale: str = "en") -> None:
        self.locale = locale
        self._language = locale.split("-", 1)[0].lower()
        self._entries = CATALOGUES.get(self._language, ENGLISH)

    def __call__(self, key: str, **values: object) -> str:
        """Return the text of a key with its values; raise KeyError, naming the key, where English lacks it too."""
        entry = self._entries.get(key) or ENGLISH[key]
        if not isinstance(entry, str):
            entry = entry["one" if values.get("n") == 1 else "other"]
        return (pseudo(entry) if self.locale == PSEUDO else entry).format(**values)

    def day(self, day: date) -> str:
        """Return weekday, day and month: "Tuesday, 3 March"; "Dienstag, 3. März"."""
        language = self._language if self._language in _WEEKDAYS else "en"
        weekday, month = _WEEKDAYS[language][day.weekday()], _MONTHS[language][day.month - 1]
        return f"{weekday}, {day.day}{'.' if language == 'de' else ''} {month}"

    def clock(self, at: time) -> str:
        """Return a time of day, to the minute, of 24 hours."""
        return f"{at:%H:%M}"


def pseudo(text: str) -> str:
    """Make a text 40 % longer, with accents, keeping what stands in braces and brackets."""
    out, inside = [], 0
    for letter in text:
        inside += letter in "{["
        out.append(letter if inside else letter.translate(_ACCENTED))
        inside -= letter in "}]"
    return "".join(out) + "~" * max(1, round(len(text) * 0.4))


def duration(seconds: float) -> str:
    """Return minutes and seconds: "0:07", "12:30"."""
    whole = max(0, int(seconds))
    return f"{whole // 60}:{whole % 60:02}"
