// What the page asks of the kiosk. Every refusal comes back as a Refused with the code of the API.

export class Refused extends Error {
  constructor(code, detail) {
    super(detail);
    this.code = code;
  }
}

/** Send a command; return `{ command_id }` or throw Refused. `keepalive` lets it out even while the page closes. */
export async function send(method, path, body, { keepalive = false } = {}) {
  let response;
  try {
    response = await fetch(`api/v1/${path}`, {
      method,
      keepalive,
      headers: { "Content-Type": "application/json", "X-Room-Kiosk-Page": "1" },
      body: JSON.stringify(body ?? {}),
    });
  } catch {
    throw new Refused("unreachable", "");
  }
  const answer = await response.json().catch(() => ({}));
  if (!response.ok) throw new Refused(answer.code ?? "internal", answer.detail ?? response.statusText);
  return answer;
}
