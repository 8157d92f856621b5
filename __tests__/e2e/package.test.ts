import { execFile } from 'node:child_process';
import { cp, mkdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';

import { afterAll, beforeAll, expect, test } from '@jest/globals';

import { version } from '../../src/version.ts';
import { createScratch, type ScratchFolder } from '../support/store-bundles.ts';

const root = resolve(import.meta.dirname, '../..');
const execute = promisify(execFile);

let scratch: ScratchFolder;
/** An empty project with the package installed. */
let projectDir: string;

beforeAll(async () => {
  scratch = await createScratch();
  const tarball = await pack();
  projectDir = await scratch.folder('project');
  await writeFile(join(projectDir, 'package.json'), '{"private": true, "type": "module"}');
  // Offline: the package is all that there is to install.
  await npm(projectDir, 'install', '--offline', tarball);
});

afterAll(() => scratch.remove());

/** Builds the package as for a release, from a copy: this folder is left as it is. */
async function pack(): Promise<string> {
  const copyDir = await scratch.folder('copy');
  const parts = ['src', 'script', 'docs', 'LICENSE', 'README.md', 'package.json'];
  for (const part of [...parts, 'tsconfig.json', 'tsconfig.build.json']) {
    await cp(join(root, part), join(copyDir, part), { recursive: true });
  }
  await symlink(join(root, 'node_modules'), join(copyDir, 'node_modules'));
  const packed = await npm(copyDir, 'pack', '--silent');
  return join(copyDir, packed.trim().split('\n').at(-1) ?? '');
}

async function npm(cwd: string, ...args: string[]): Promise<string> {
  const settings = { npm_config_cache: join(scratch.path, 'npm'), npm_config_update_notifier: '' };
  const { stdout } = await execute('npm', args, { cwd, env: { ...process.env, ...settings } });
  return stdout;
}

async function node(...args: string[]): Promise<string> {
  const { stdout } = await execute(process.execPath, args, { cwd: projectDir });
  return stdout;
}

test('brings the command-line tool', async () => {
  expect(await npm(projectDir, 'exec', '--offline', 'snapvol', '--', '--version')).toBe(
    `${version}\n`,
  );
  expect(await npm(projectDir, 'exec', '--offline', 'snapvol', '--', '--help')).toContain(
    'A session:',
  );
});

test('brings a library that does nothing when it is imported', async () => {
  await writeFile(
    join(projectDir, 'library.js'),
    `import { AppError, parseSettings, start, stop, version } from 'snapvol';
    let code;
    try { parseSettings({}, { defaultStore: 'artifact' }); } catch (error) {
      code = error instanceof AppError && error.code;
    }
    const { image } = parseSettings({ engine: 'postgres' }, { defaultStore: 'file:/s' });
    console.log(JSON.stringify([typeof start, typeof stop, version, code, image]));`,
  );
  const [...facts] = JSON.parse(await node('library.js')) as unknown[]; // what the script prints
  expect(facts).toEqual(['function', 'function', version, 'invalid-settings', 'postgres:17']);
});

test('brings types that say what things are', async () => {
  const consumer = `import type { ErrorCode, Log, Manifest, StartReport } from 'snapvol';
import { listSnapshots, restore, save, start, stop } from 'snapvol';
type IsAny<T> = 0 extends 1 & T ? true : false;
export const known: IsAny<Manifest | Manifest['volumes'][number]>[] = [false];
export const more: IsAny<StartReport | Log | ErrorCode>[] = [false];
export const calls: IsAny<typeof listSnapshots | typeof restore | typeof save | typeof start | typeof stop>[] = [false];
export const url = (report: StartReport): string => report.url;
export const archive = (manifest: Manifest): string => manifest.volumes[0]?.archive ?? '';
// @ts-expect-error -- there is no such code
export const wrong: ErrorCode = 'nothing';
`;
  await mkdir(join(projectDir, 'src'));
  await writeFile(join(projectDir, 'src/consumer.ts'), consumer);
  await writeFile(
    join(projectDir, 'tsconfig.json'),
    JSON.stringify({
      compilerOptions: {
        ...{ module: 'nodenext', target: 'es2024', strict: true, noEmit: true },
        ...{ lib: ['es2024', 'esnext.disposable'], skipLibCheck: false },
        ...{ types: ['node'], typeRoots: [join(root, 'node_modules/@types')] },
      },
      include: ['src'],
    }),
  );
  const tsc = join(root, 'node_modules/typescript/bin/tsc');
  const said = await node(tsc).catch((error: unknown) => (error as { stdout: string }).stdout);
  expect(said).toBe('');
});

test('has no dependencies, and its licences', async () => {
  const installed = join(projectDir, 'node_modules/snapvol');
  // A cast: the file that npm has just read.
  const manifest = JSON.parse(await readFile(join(installed, 'package.json'), 'utf8')) as object;
  expect(manifest).not.toHaveProperty('dependencies');
  expect(await readFile(join(installed, 'dist/licenses.txt'), 'utf8')).toContain('valibot');
});
