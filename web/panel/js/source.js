// Where news comes from: one event stream; where that fails, asking again and again. Runs in a page or in a shared worker.
//
// News: { kind: "state", state } · { kind: "kiosk", answers } · { kind: "panel", answers } · { kind: "outcome", outcome }

const POLL_MS = 2000;
const STREAM_AGAIN_MS = 60_000;
const LOST_AFTER_MS = 2500;

export class Source {
  #tell;
  #base;
  #stream = null;
  #poll = 0;
  #again = 0;
  #lost = 0;
  #etag = null;

  /** @param base address of the page; `tell` takes each piece of news. */
  constructor(base, tell) {
    this.#base = base;
    this.#tell = tell;
  }

  start() {
    this.#open();
  }

  stop() {
    this.#stream?.close();
    this.#stream = null;
    for (const timer of [this.#poll, this.#again, this.#lost]) clearTimeout(timer);
  }

  #open() {
    if (typeof EventSource === "undefined") {
      this.#ask();
      return;
    }
    const stream = new EventSource(new URL("api/v1/events", this.#base));
    this.#stream = stream;
    stream.onopen = () => this.#found();
    stream.addEventListener("state", (event) => this.#take({ kind: "state", state: JSON.parse(event.data) }));
    stream.addEventListener("kiosk", (event) => this.#take({ kind: "kiosk", answers: JSON.parse(event.data).answers }));
    stream.addEventListener("outcome", (event) => this.#take({ kind: "outcome", outcome: JSON.parse(event.data) }));
    stream.onerror = () => {
      if (stream.readyState === EventSource.CLOSED) this.#fallBack();
      else if (!this.#lost) this.#lost = setTimeout(() => this.#missing(), LOST_AFTER_MS);
    };
  }

  #take(news) {
    this.#found();
    this.#tell(news);
  }

  #found() {
    clearTimeout(this.#lost);
    this.#lost = 0;
    this.#tell({ kind: "panel", answers: true });
  }

  #missing() {
    this.#lost = 0;
    this.#tell({ kind: "panel", answers: false });
  }

  // The stream was refused, not interrupted: all places are taken, or something on the way lets no stream through.
  #fallBack() {
    this.#stream = null;
    this.#again = setTimeout(() => {
      clearTimeout(this.#poll);
      this.#open();
    }, STREAM_AGAIN_MS);
    this.#ask();
  }

  async #ask() {
    try {
      const headers = this.#etag ? { "If-None-Match": this.#etag } : {};
      const response = await fetch(new URL("api/v1/state", this.#base), { headers, cache: "no-store" });
      this.#found();
      if (response.status === 200) {
        this.#etag = response.headers.get("ETag");
        this.#tell({ kind: "state", state: await response.json() });
      } else {
        this.#tell({ kind: "kiosk", answers: response.status === 304 });
      }
    } catch {
      this.#missing();
    }
    if (!this.#stream) this.#poll = setTimeout(() => this.#ask(), POLL_MS);
  }
}
