// Answers vectors on MicroPython: node micropython.mjs PACKAGE ROOT FILE...
//
// Place in the flow: `tests/vectors/micro.py` starts it. It loads the interpreter of PACKAGE (the
// npm package of MicroPython as WASM), gives it edge/ and tests/vectors/portable.py of ROOT as they
// are, and prints a line "file <tab> answer" for each case.
//
// * What a microcontroller's hardware does and this build lacks comes from node's own crypto:
//   AES-ECB and AES-CBC in the shape of cryptolib.aes, and the verification of ES256.
// * Everything else (codec, envelope, chain, HMAC, HKDF, CCM, DEFLATE) is executed by MicroPython.

import { createCipheriv, createPublicKey, verify } from "node:crypto";
import { readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { pathToFileURL } from "node:url";

const MODULES = ["__init__", "ccm", "chain", "codec", "errors", "inflate", "kdf", "seal"];
const HEAP_BYTES = 32 * 1024 * 1024;

const bytes = (hex) => Buffer.from(hex, "hex");

function aes(key, mode, iv, data) {
  const cipher = createCipheriv(`aes-128-${mode}`, bytes(key), mode === "ecb" ? null : bytes(iv));
  cipher.setAutoPadding(false);
  return Buffer.concat([cipher.update(bytes(data)), cipher.final()]).toString("hex");
}

function publicKey(point) {
  const [x, y] = [point.subarray(1, 33), point.subarray(33)];
  const jwk = { kty: "EC", crv: "P-256", x: x.toString("base64url"), y: y.toString("base64url") };
  return createPublicKey({ key: jwk, format: "jwk" });
}

function isPoint(point) {
  try {
    return point.length === 130 && point.startsWith("04") && Boolean(publicKey(bytes(point)));
  } catch {
    return false;
  }
}

function holds(point, message, signature) {
  const key = { key: publicKey(bytes(point)), dsaEncoding: "ieee-p1363" };
  return verify("sha256", bytes(message), key, bytes(signature));
}

const PLATFORM = `
import bridge
from binascii import hexlify, unhexlify
from edge import ccm, kdf
from edge.errors import PeerError
from portable import NoSuite, answers

ELSEWHERE = {3: (32, 12), 24: (32, 12), -65601: (16, 12)}

class aes:
    def __init__(self, key, mode, iv=b""):
        self.key, self.mode, self.iv = hexlify(key).decode(), mode, hexlify(iv).decode()
    def encrypt(self, data):
        mode = {1: "ecb", 2: "cbc"}[self.mode]
        return unhexlify(bridge.aes(self.key, mode, self.iv, hexlify(data).decode()))

class Platform:
    def make_aes(self, key, mode, iv=b""):
        return aes(key, mode, iv)
    def suite(self, alg):
        if alg in ELSEWHERE:
            raise NoSuite()
        if alg != ccm.ALG:
            raise PeerError("Not one of ours.", "suite-unknown")
        return ccm.AesCcm(aes)
    def ratchet(self, chain_key, alg):
        sizes = ELSEWHERE.get(alg)
        if alg == -65601:
            raise NoSuite()
        if sizes is None:
            suite = self.suite(alg)
            sizes = suite.key_bytes, suite.nonce_bytes
        return kdf.ratchet(chain_key, sizes[0], sizes[1])
    def verifier(self, public):
        point = hexlify(public).decode()
        if not bridge.isPoint(point):
            raise PeerError("No point of the curve.", "key-public")
        def verify(message, signature):
            if not bridge.holds(point, hexlify(message).decode(), hexlify(signature).decode()):
                raise PeerError("The signature does not hold.", "seal-signature")
        return verify
`;

const ANSWER = `
import json
with open("/file.json") as file:
    content = json.load(file)
for line in answers(content, Platform()):
    print(name + "\\t" + line)
`;

async function run([home, root, ...files]) {
  const { loadMicroPython } = await import(pathToFileURL(join(home, "micropython.mjs")));
  const stdout = (line) => console.log(line);
  const micro = await loadMicroPython({ heapsize: HEAP_BYTES, stdout });
  const install = (name, ...place) => micro.FS.writeFile(name, readFileSync(join(root, ...place)));
  micro.registerJsModule("bridge", { aes, isPoint, holds });
  micro.FS.mkdir("/lib");
  micro.FS.mkdir("/lib/edge");
  MODULES.forEach((name) => install(`/lib/edge/${name}.py`, "edge", `${name}.py`));
  install("/lib/portable.py", "tests", "vectors", "portable.py");
  micro.runPython(PLATFORM);
  for (const file of files) {
    micro.FS.writeFile("/file.json", readFileSync(file));
    micro.globals.set("name", basename(file));
    micro.runPython(ANSWER);
  }
}

// An uncaught error would print the interpreter's whole source, which is one line, before itself.
run(process.argv.slice(2)).catch((error) => {
  console.error(error.message);
  process.exitCode = 1;
});
