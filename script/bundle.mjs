// Bundles lib/bundle.js into dist/: one small entry, and chunks that are loaded when they are needed.
// The result is the same bytes on every machine, so that CI can compare it with what is committed.
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';

import { minify } from '@swc/core';
import ncc from '@vercel/ncc';

const root = resolve(import.meta.dirname, '..');
const dist = join(root, 'dist');
const entry = join(root, 'lib/bundle.js');

/** The entry is read on every start. More than this means that something heavy is not imported lazily. */
const entryLimitBytes = 32 * 1024;

/** Said before the code is read, which older versions fail in with the whole of it on the screen. */
const nodeCheck = `if (Number(process.versions.node.split('.')[0]) < 24) {
  console.error(\`snapvol needs Node.js 24 or newer, this is \${process.version}\`);
  process.exit(2);
}
`;

// Webpack derives module ids from paths relative to the working folder.
process.chdir(root);
if (!existsSync(entry)) throw new Error('lib/bundle.js is missing: run `npm run build`');

const publicNames = Object.keys(
  await import(pathToFileURL(join(root, 'lib/index.js')).href),
).sort();
process.noDeprecation = true; // ncc's own
const { code, assets, stats } = await ncc(entry, {
  filename: 'bundle.js',
  esm: true,
  cache: false,
  quiet: true,
  sourceMap: false,
  target: 'es2022',
});
const modules = bundledModules(stats.toJson());
refuseUnresolved(modules);

// ncc also copies files that packages mention but never need here (.proto, .node): only code is kept.
const chunks = Object.keys(assets).filter((name) => /^\d+\.bundle\.js$/.test(name));
const files = new Map([
  ['bundle.js', await shrink(code)],
  ['index.js', library(publicNames)],
  ['main.js', stub("The action's main phase", 'runAction', "'main'")],
  ['post.js', stub("The action's post phase", 'runAction', "'post'")],
  ['upload.js', stub('The upload that goes on after the main phase', 'runUpload', '')],
  ['save.js', stub('The sub-action save/', 'runSubAction', "'save'")],
  ['restore.js', stub('The sub-action restore/', 'runSubAction', "'restore'")],
  ['reset.js', stub('The sub-action reset/', 'runSubAction', "'reset'")],
  ['tar-sieve-program.js', stub('The process that looks at tar streams', 'runTarSieve', '')],
  ['cli.js', `#!/usr/bin/env node\n${stub('The command-line tool', 'runCli', '')}`],
  ['package.json', `${JSON.stringify({ type: 'module' })}\n`],
  ['licenses.txt', licences(modules)],
]);
for (const name of chunks) files.set(name, await shrink(assets[name].source.toString()));
for (const [name, text] of files) refuseUnportable(name, text);

rmSync(dist, { recursive: true, force: true });
mkdirSync(dist);
for (const [name, text] of files) writeFileSync(join(dist, name), text);
chmodSync(join(dist, 'cli.js'), 0o755);
smoke();
report();

function stub(what, name, argument) {
  const code = `const { ${name} } = await import('./bundle.js');\nawait ${name}(${argument});\n`;
  return `// ${what}. The code is in bundle.js, which older versions of Node.js cannot read.\n${nodeCheck}${code}`;
}

/** Exports by name, so that an import of a name that does not exist fails when it is linked. */
function library(names) {
  return `// The library. The code is in bundle.js.\nimport { loadLibrary } from './bundle.js';\nexport const { ${names.join(', ')} } = await loadLibrary();\n`;
}

/** ncc minifies the entry only. Names of functions and classes stay: some packages look at them. */
async function shrink(source) {
  const mangle = { keep_classnames: true, keep_fnames: true };
  // Of all that a minifier can rewrite, only the removal of what nobody calls: a quarter of valibot is left.
  const removal = { unused: true, dead_code: true, side_effects: true, toplevel: true };
  const compress = { defaults: false, ...removal, ...mangle };
  const options = { module: true, compress, mangle, format: { comments: false } };
  return `${(await minify(source, options)).code.trim()}\n`;
}

/** Every module that is in a chunk, those that were merged into another one included. */
function bundledModules(json) {
  const flatten = (module) => [module, ...(module.modules ?? []).flatMap(flatten)];
  return json.modules.filter((module) => module.chunks.length > 0).flatMap(flatten);
}

/** ncc turns an import that it cannot resolve into an error at run time, and reports success. */
function refuseUnresolved(list) {
  const missing = list
    .filter((module) => module.name?.includes('@@notfound.js'))
    .map((module) => `${module.name.split('?')[1]} (imported by ${module.issuerName})`);
  if (missing.length > 0) throw new Error(`cannot resolve:\n  ${missing.join('\n  ')}`);
}

function refuseUnportable(name, text) {
  if (text.includes(root)) throw new Error(`dist/${name} contains the path of this folder`);
  if (/\b__(dirname|filename)\b/.test(text))
    throw new Error(`dist/${name} uses __dirname: ES modules have none`);
  if (name === 'bundle.js' && text.length > entryLimitBytes) {
    throw new Error(
      `dist/${name} has ${text.length} bytes: import what is heavy with await import()`,
    );
  }
}

/** The licence of every package in the bundle; a text that several packages share is printed once. */
function licences(list) {
  const folders = new Set(
    list.flatMap(
      ({ nameForCondition }) =>
        nameForCondition?.match(/^.*\/node_modules\/(?:@[^/]+\/)?[^/]+/) ?? [],
    ),
  );
  const packagesByText = new Map();
  for (const folder of folders) {
    const { name, version, license } = JSON.parse(
      readFileSync(join(folder, 'package.json'), 'utf8'),
    );
    const file = readdirSync(folder)
      .sort()
      .find((each) => /^(licen[cs]e|copying)(\.|-|$)/i.test(each));
    const text = file
      ? readFileSync(join(folder, file), 'utf8').replaceAll('\r\n', '\n').trim()
      : '(no text in the package)';
    const title = `${name} ${version} (${license ?? 'see below'})`;
    packagesByText.set(text, [...(packagesByText.get(text) ?? []), title]);
  }
  const line = '-'.repeat(80);
  const sections = [...packagesByText].map(
    ([text, titles]) => `${titles.sort().join('\n')}\n\n${text}\n`,
  );
  return `Packages in this bundle, and their licences.\n${line}\n${sections.sort().join(`${line}\n`)}`;
}

/** What was written must load, from any folder, and export what the library exports. */
function smoke() {
  const show = `console.log(Object.keys(await import(${JSON.stringify(pathToFileURL(join(dist, 'index.js')))})).sort().join())`;
  const loaded = execFileSync(process.execPath, ['--input-type=module', '-e', show], {
    cwd: '/',
    encoding: 'utf8',
  });
  if (loaded.trim() !== publicNames.join()) throw new Error(`dist/index.js exports ${loaded}`);
}

function report() {
  const kilobytes = (bytes) => `${Math.ceil(bytes / 1024)} kB`;
  const total = [...files.values()].reduce((sum, text) => sum + Buffer.byteLength(text), 0);
  console.log(
    `dist: ${files.size} files, ${kilobytes(total)}; start: ${kilobytes(files.get('bundle.js').length)}`,
  );
}
