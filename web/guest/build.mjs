// Copies the one file that the guest page takes from npm, unmodified, with its licence: npm run build

import { copyFile, mkdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const from = join(here, "node_modules", "twilio-video");
const to = join(here, "vendor");

await mkdir(to, { recursive: true });
await copyFile(join(from, "dist", "twilio-video.min.js"), join(to, "twilio-video.min.js"));
await copyFile(join(from, "LICENSE.md"), join(to, "twilio-video.LICENSE.md"));
console.log("vendor/twilio-video.min.js is in place");
