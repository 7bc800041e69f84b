// What this page asks of the rooms service: a token for an invitation, and where its signaling is.

export class Refusal extends Error {
  /** @param reason a key of words.js (`room_full`, …); `code` is what people are asked for when they ask for help. */
  constructor(reason, { code = reason, detail = "" } = {}) {
    super(detail || reason);
    this.reason = reason;
    this.code = code;
    this.detail = detail;
  }
}

/** The room and the invitation of an address `…/join/<room>#<invitation>`. */
export function invitationOf(location) {
  const path = location.pathname.replace(/\/+$/, "");
  const [, base, room] = /^(.*\/join\/)([^/]+)$/.exec(path) ?? [];
  let name = room ?? "";
  try {
    name = decodeURIComponent(name);
  } catch {
    // Not an encoded name: shown as it stands, the service decides.
  }
  return { name, invitation: location.hash.slice(1), tokenUrl: `${base ?? "/join/"}${room ?? ""}/token`, prefix: (base ?? "/join/").replace(/join\/$/, "") };
}

/** Where the SDK finds the signaling: beside this page, whatever stands before it. */
export function signalingUrl(location, prefix) {
  return `${location.protocol === "https:" ? "wss:" : "ws:"}//${location.host}${prefix}signaling`;
}

/** Turn an invitation and a name into `{ token, room, identity }`; throw a Refusal. */
export async function askForToken({ tokenUrl, invitation }, name) {
  let response;
  try {
    response = await fetch(tokenUrl, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ invitation, name }),
      cache: "no-store",
      signal: AbortSignal.timeout?.(10_000),
    });
  } catch {
    throw new Refusal("unreachable");
  }
  const answer = await response.json().catch(() => ({}));
  if (response.ok && typeof answer.token === "string") return answer;
  throw refusalOf(response.status, answer);
}

const BY_CAUSE = {
  invalid: "invitation_invalid",
  other_room: "invitation_invalid",
  expired: "invitation_expired",
  name_taken: "name_taken",
};

const BY_STATUS = {
  401: "invitation_invalid",
  403: "invitation_invalid",
  404: "room_not_found",
  410: "invitation_expired",
  429: "busy",
  502: "unreachable",
  503: "busy",
  504: "unreachable",
};

/** Sort an HTTP answer that is no token. Pure. */
export function refusalOf(status, answer) {
  const cause = answer.details?.reason;
  const reason = BY_CAUSE[cause] ?? BY_NUMBER[answer.code] ?? BY_STATUS[status] ?? (status >= 500 ? "unreachable" : "refused");
  return new Refusal(reason, { code: String(cause ?? answer.code ?? status), detail: answer.message ?? "" });
}

const BY_NUMBER = {
  20104: "invitation_expired",
  53000: "unreachable",
  53001: "link_lost",
  53002: "link_lost",
  53006: "busy",
  53100: "room_not_found",
  53103: "busy",
  53104: "busy",
  53105: "room_full",
  53106: "room_not_found",
  53116: "busy",
  53118: "room_ended",
  53200: "name_refused",
  53201: "name_refused",
  53202: "name_refused",
  53205: "duplicate",
  53206: "busy",
  53216: "room_ended",
  53400: "media_failed",
  53402: "media_failed",
  53404: "media_failed",
  53405: "media_failed",
  53407: "media_failed",
};

/** Sort an error of the SDK, by its number (signaling.md 6). Pure. */
export function refusalOfError(error) {
  if (error instanceof Refusal) return error;
  const number = error?.code;
  const reason = BY_NUMBER[number] ?? (number >= 20101 && number <= 20107 ? "invitation_invalid" : "refused");
  return new Refusal(reason, { code: String(number ?? error?.name ?? "error"), detail: error?.message ?? "" });
}
