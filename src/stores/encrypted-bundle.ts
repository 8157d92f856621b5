import { createHash } from 'node:crypto';
import { rm, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';

import { AppError } from '../errors.ts';
import { hashFile, readSmall } from '../snapshot/bundle.ts';
import { encryptedManifestName, encryptedSuffix, sumsFileName } from '../snapshot/manifest.ts';
import { damaged, type Decrypt, type Encrypt } from './age.ts';
import { decryptFile, encryptFile } from './age-file.ts';
import { bundleFiles } from './bundle-files.ts';

/**
 * Fills the empty `toDir` with the files of a bundle, each encrypted for itself as `NAME.age`, and the SHA256SUMS of
 * those, for whoever has no key.
 */
export async function encryptBundle(
  bundleDir: string,
  toDir: string,
  encrypt: Encrypt,
  signal: AbortSignal,
): Promise<void> {
  const sums: string[] = [];
  for (const file of await bundleFiles(bundleDir)) {
    const name = `${basename(file)}${encryptedSuffix}`;
    sums.push(`${await encryptFile(file, join(toDir, name), encrypt, signal)}  ${name}\n`);
  }
  await writeFile(join(toDir, sumsFileName), sums.join(''));
}

/**
 * Makes the bundle in `dir` out of its encrypted files: the manifest first, and each one is removed when it is done.
 * @param decrypt `undefined` where no key was given
 * @throws `snapshot-corrupt`; when all that is encrypted is as SHA256SUMS has it, `snapshot-locked` without a key, or
 *   `wrong-key`
 */
export async function decryptBundle(
  key: string,
  dir: string,
  decrypt: Decrypt | undefined,
  signal: AbortSignal,
): Promise<void> {
  const sums = await readSums(dir);
  // All of them first: with a wrong byte in it, a header looks like one for somebody else.
  for (const [name, sum] of sums) requireSum(name, sum, await hashFile(join(dir, name), signal));
  if (decrypt === undefined) throw locked(key);
  await rm(join(dir, sumsFileName)); // the bundle has another one, which is encrypted
  for (const name of sums.keys()) {
    const from = join(dir, name);
    const to = from.slice(0, -encryptedSuffix.length);
    await decryptFile(`${name} of ${key}`, { from, to }, decrypt, signal);
    await rm(from);
  }
}

/** What another key may open. */
export function isKeyError(error: unknown): error is AppError {
  return error instanceof AppError && ['snapshot-locked', 'wrong-key'].includes(error.code);
}

export function locked(key: string): AppError {
  return new AppError(
    'snapshot-locked',
    `the snapshot ${key} is encrypted, and no key was given to open it`,
    { hint: 'Give the "identity" or the "passphrase" that it was encrypted for' },
  );
}

/** The sum of every file, the manifest's first. */
async function readSums(dir: string): Promise<Map<string, string>> {
  const sums = parseSums(await readSmall(dir, sumsFileName));
  const names = (await bundleFiles(dir)).map((file) => basename(file));
  const strange = names.find((name) => name !== sumsFileName && !sums.has(name));
  if (strange !== undefined) throw damaged(strange, `it is not in ${sumsFileName}`);
  const missing = [...sums.keys()].find((name) => !names.includes(name));
  if (missing !== undefined) throw damaged(missing, 'it is in SHA256SUMS only');
  return sums;
}

/** Lines for anything but encrypted files mean nothing here. */
function parseSums(text: string): Map<string, string> {
  const sums = new Map([[encryptedManifestName, '']]);
  for (const line of text.split('\n')) {
    const [, sum, name] = /^([0-9a-f]{64}) [ *]([^/]+\.age)$/.exec(line) ?? [];
    if (sum !== undefined && name !== undefined) sums.set(name, sum);
  }
  return sums;
}

function requireSum(name: string, wanted: string | undefined, actual: string): void {
  if (actual === wanted) return;
  throw damaged(name, `its sha256 is ${actual}, ${sumsFileName} says ${wanted || 'nothing'}`);
}

/** @throws `snapshot-corrupt` where SHA256SUMS has another sum for these bytes */
export function requireSumIn(sums: string, name: string, bytes: Buffer): void {
  requireSum(name, parseSums(sums).get(name), createHash('sha256').update(bytes).digest('hex'));
}
