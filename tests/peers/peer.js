// Signs or verifies deliveries, using only Node's own library.
//
// Usage: peer.js (sign|verify) SECRET, with frames on the standard input: a length, a timestamp,
// for `verify` a signature, and the body. Writes one line for each frame: the signature, or yes or
// no.

const { createHmac, timingSafeEqual } = require("node:crypto");
const { readFileSync } = require("node:fs");

const [mode, secret] = process.argv.slice(2);
const input = readFileSync(0);
const lines = [];
for (let at = 0; at < input.length; ) {
  const take = (length) => input.subarray(at, (at += length));
  const length = take(4).readUInt32BE();
  const timestamp = take(8).readBigUInt64BE();
  const given = mode === "verify" ? take(64) : null;
  const body = take(length);
  const signature = createHmac("sha256", secret).update(`${timestamp}.`).update(body).digest("hex");
  const verdict = () => (timingSafeEqual(Buffer.from(signature), given) ? "yes" : "no");
  lines.push(mode === "sign" ? signature : verdict());
}
process.stdout.write(lines.map((line) => `${line}\n`).join(""));
