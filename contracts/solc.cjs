// Runs the compiler library as a command: its own one prints a stray line before the JSON. Started by ./solc.
"use strict";

const fs = require("node:fs");

const [expected, ...args] = process.argv.slice(2);

function load() {
  try {
    return require("solc");
  } catch (error) {
    fail(`the compiler is not installed (${error.code}); run \`make setup\` first`);
  }
}

function fail(reason) {
  fs.writeSync(2, `solc: ${reason}\n`);
  process.exit(1);
}

const solc = load();
if (!solc.version().startsWith(`${expected}+`)) {
  fail(`version ${solc.version()} is installed, ${expected} is needed; run \`make setup\` first`);
}
if (args.includes("--version")) {
  // The library adds the name of its build to the version; callers expect a platform there.
  fs.writeSync(1, `solc, the solidity compiler commandline interface\nVersion: ${solc.version()}\n`);
} else if (args.includes("--standard-json")) {
  process.stdout.write(solc.compile(fs.readFileSync(0, "utf8")));
} else {
  fail(`only --version and --standard-json are understood, not: ${args.join(" ")}`);
}
