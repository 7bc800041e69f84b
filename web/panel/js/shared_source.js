// One event stream for all tabs of a browser, which opens only six connections to a place. Runs as a shared worker.

import { Source } from "./source.js";

const ports = new Set();
const newest = new Map();

const source = new Source(new URL("..", self.location.href), (news) => {
  if (news.kind !== "outcome") newest.set(news.kind, news);
  if (news.kind === "state") newest.delete("kiosk");
  for (const port of ports) port.postMessage(news);
});

self.onconnect = ({ ports: [port] }) => {
  if (!ports.size) source.start();
  ports.add(port);
  port.onmessage = ({ data }) => {
    if (data !== "bye") return;
    ports.delete(port);
    if (!ports.size) source.stop();
  };
  for (const news of newest.values()) port.postMessage(news);
};
