// Bundles CodeMirror into static/portal/vendor/, with the licences of all that is in it beside it.
import { readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
const target = join(here, "../../static/portal/vendor");

const { metafile } = await build({
  entryPoints: [join(here, "codemirror.js")],
  outfile: join(target, "codemirror.js"),
  bundle: true,
  format: "esm",
  legalComments: "none",
  metafile: true,
  minify: true,
  target: "es2022",
});

const folders = new Set();
for (const file of Object.keys(metafile.inputs)) {
  const found = file.match(/^(?:.*\/)?node_modules\/((?:@[^/]+\/)?[^/]+)\//);
  if (found) folders.add(found[1]);
}
const licences = [...folders].sort().map((name) => {
  const folder = join(here, "node_modules", name);
  const { version, license } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
  return `${name} ${version} (${license})\n\n${readFileSync(join(folder, "LICENSE"), "utf8").trim()}\n`;
});
writeFileSync(join(target, "codemirror.LICENSES.txt"), licences.join(`\n${"-".repeat(72)}\n\n`));
