// News of the kiosk, for this page: from the worker that all tabs share, or from a stream of its own.

import { Source } from "./source.js";

/** Call `tell` with each piece of news (see source.js) until the page goes away. */
export function listen(tell) {
  const own = () => {
    const source = new Source(document.baseURI, tell);
    source.start();
    addEventListener("pagehide", () => source.stop());
    addEventListener("pageshow", (event) => event.persisted && source.start());
  };
  if (typeof SharedWorker === "undefined") {
    own();
    return;
  }
  let worker;
  try {
    worker = new SharedWorker(new URL("./shared_source.js", import.meta.url), { type: "module", name: "room-kiosk" });
  } catch {
    own();
    return;
  }
  let heard = false;
  worker.onerror = () => {
    if (!heard) own();
    heard = true;
  };
  worker.port.onmessage = ({ data }) => {
    heard = true;
    tell(data);
  };
  addEventListener("pagehide", () => worker.port.postMessage("bye"));
  addEventListener("pageshow", (event) => event.persisted && location.reload());
}
