import { createHash, scryptSync } from 'node:crypto';

import type { KeyPart } from './manifest.ts';

/** At most what every store takes (GitHub's cache: 512 characters, no comma). */
export const keyLimit = 512;

/** Everything that decides whether a snapshot fits. Names and values are printed: no secrets. */
export type KeyParts = readonly KeyPart[];

/** A file that enters the key. */
export interface KeyFile {
  /** Relative to the workspace, with forward slashes. */
  readonly path: string;
  /** Where it is on this machine. */
  readonly source: string;
  /** The setting that names it. */
  readonly input: string;
  /** Of its contents, when they were hashed. */
  readonly sizeBytes: number;
  readonly sha256: string;
}

/** `snapvol-ENGINE-ARCH-HASH`: readable in front, decided by the hash. Same parts, same key; order does not matter. */
export function computeKey(parts: KeyParts): string {
  const valueOf = (name: string): string =>
    parts.find((part) => part.name === name)?.value ?? 'any';
  const hash = createHash('sha256');
  for (const { name, value } of sorted(parts))
    hash.update(lengthPrefixed(name)).update(lengthPrefixed(value));
  return `snapvol-${valueOf('engine')}-${valueOf('architecture')}-${hash.digest('hex').slice(0, 40)}`;
}

/**
 * `NAME-YYYYMMDD-HHMMSS`, in UTC: one of many snapshots of the same thing. What a key may not have is `-` in it, and a
 * name that is too long is cut.
 */
export function versionedKey(name: string, nowMs: number): string {
  const time = new Date(nowMs).toISOString().replace(/\..*$/, '').replaceAll(/[-:]/g, '');
  const ending = `-${time.replace('T', '-')}`;
  // eslint-disable-next-line no-control-regex -- control characters are what is looked for
  const allowed = name.toWellFormed().replaceAll(/[,\u0000-\u001f\u007f]/g, '-');
  // A cut may go through a character of two halves.
  return `${allowed.slice(0, keyLimit - ending.length).replace(/[\ud800-\udbff]$/, '')}${ending}`;
}

/** Why `key` cannot be a key, or `undefined`. */
export function keyProblem(key: string): string | undefined {
  if (key.length === 0) return 'is empty';
  if (key.length > keyLimit) return `has ${key.length} characters, at most ${keyLimit} are allowed`;
  if (key.includes(',')) return "has a comma, which GitHub's cache does not allow";
  // eslint-disable-next-line no-control-regex -- control characters are what is looked for
  if (/[\u0000-\u001f\u007f]/.test(key)) return 'has a control character';
  return undefined;
}

/** What differs between the parts of two snapshots, one line each: `image changed: postgres:16 -> postgres:17`. */
export function differingParts(before: KeyParts, now: KeyParts): string[] {
  const old = new Map(before.map((part) => [part.name, part.value]));
  const current = new Map(now.map((part) => [part.name, part.value]));
  const names = [...new Set([...old.keys(), ...current.keys()])];
  return names.flatMap((name) => {
    const was = old.get(name);
    const is = current.get(name);
    if (was === is) return [];
    if (was === undefined) return [`${name} added: ${is ?? ''}`];
    if (is === undefined) return [`${name} removed: ${was}`];
    return [`${name} changed: ${was} -> ${is}`];
  });
}

/** A short fingerprint of a text. */
export function fingerprint(text: string | Buffer): string {
  return `sha256:${createHash('sha256').update(text).digest('hex').slice(0, 16)}`;
}

/** One fingerprint over the paths and contents of files, whatever their order. */
export function filesFingerprint(files: readonly Pick<KeyFile, 'path' | 'sha256'>[]): string {
  if (files.length === 0) return 'none';
  const hash = createHash('sha256');
  for (const { path, sha256 } of files.toSorted((a, b) => compare(a.path, b.path))) {
    hash.update(lengthPrefixed(path)).update(sha256);
  }
  return `${files.length} ${files.length === 1 ? 'file' : 'files'} sha256:${hash.digest('hex').slice(0, 16)}`;
}

export function passwordFingerprint(password: string, user: string, database: string): string {
  return password === '' ? 'none' : secretFingerprint(password, `${user}\0${database}`);
}

/**
 * Tells secrets apart without giving them away: manifests can be read by others, and a plain hash of a weak password is
 * found by trying. Slow on purpose (about 50 ms).
 * @param whose the same secret of something else gets another fingerprint
 */
export function secretFingerprint(secret: string, whose: string): string {
  return `scrypt:${scryptSync(secret, `snapvol\0${whose}`, 16).toString('hex')}`;
}

function sorted(parts: KeyParts): KeyPart[] {
  return parts.toSorted((a, b) => compare(a.name, b.name));
}

/** By code unit: the same everywhere, whatever the locale. */
function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** So that no two lists of values run into the same bytes. */
function lengthPrefixed(value: string): Buffer {
  const bytes = Buffer.from(value);
  return Buffer.concat([Buffer.from(`${bytes.length}:`), bytes]);
}
