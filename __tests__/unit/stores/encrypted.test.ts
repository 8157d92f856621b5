import { readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { generateX25519Identity, identityToRecipient } from 'age-encryption';

import { silentLog } from '../../../src/index.ts';
import { createEncryptedStore } from '../../../src/stores/encrypted.ts';
import { readKeys } from '../../../src/stores/keys.ts';
import { isListable, isReplaceable, type ListableStore } from '../../../src/stores/store.ts';
import { MemoryStore, plainStore } from '../../support/memory-store.ts';
import {
  contentsOf,
  createScratch,
  fill,
  type ScratchFolder,
} from '../../support/store-bundles.ts';

const { signal } = new AbortController();
const identity = await generateX25519Identity();
const recipient = await identityToRecipient(identity);
const stranger = await generateX25519Identity();

let scratch: ScratchFolder;
let inner: MemoryStore;
beforeEach(async () => {
  scratch = await createScratch();
  inner = new MemoryStore();
});
afterEach(() => scratch.remove());

/** The store with a key to write and one to read, either of which may be absent. */
async function open(encryptTo?: string, identityText?: string): Promise<ListableStore> {
  const texts = { encryptTo: encryptTo === undefined ? [] : [encryptTo], identity: identityText };
  const keys = await readKeys(texts, { cwd: scratch.path, log: silentLog });
  const store = createEncryptedStore(inner, keys);
  if (!isListable(store)) throw new Error('it must be listable');
  return store;
}

async function saved(): Promise<string> {
  const bundle = await scratch.folder('bundle');
  await fill(bundle, 'k', { 'manifest.json': 300, SHA256SUMS: 160, 'data.tar.zst': 200_000 });
  expect(await (await open(recipient)).save('k', bundle, signal)).toBe('saved');
  return bundle;
}

async function load(store: ListableStore): Promise<Readonly<Record<string, string>>> {
  const dir = await scratch.folder('loaded');
  try {
    expect(await store.load({ key: 'k', exact: true }, dir, signal)).toBe(true);
    return await contentsOf(dir);
  } catch (error) {
    expect(await readdir(dir)).toEqual([]);
    throw error;
  }
}

test('others see encrypted files and their sums, and nothing is left of them', async () => {
  const bundle = await saved();
  const names = [...(inner.storage.get('k')?.files.keys() ?? [])].sort();
  expect(names).toEqual([
    ...['SHA256SUMS', 'SHA256SUMS.age', 'data.tar.zst.age', 'manifest.json.age'],
  ]);
  const sums = (await inner.readFile('k', 'SHA256SUMS', signal))?.toString('utf8') ?? '';
  const stored = await scratch.folder('stored');
  await inner.load({ key: 'k', exact: true }, stored, signal);
  for (const [name, content] of Object.entries(await contentsOf(stored))) {
    if (name !== 'SHA256SUMS') expect(sums).toContain(`${content.split(' ')[2] ?? ''}  ${name}\n`);
  }
  expect(await readdir(scratch.path)).toEqual(['1-bundle', '2-stored']);
  expect(await load(await open(undefined, identity))).toEqual(await contentsOf(bundle));
});

test('a bundle that is not encrypted stays as it is, with a key and without', async () => {
  const bundle = await scratch.bundle('k');
  await (await open()).save('k', bundle, signal);
  for (const key of [undefined, identity]) {
    const store = await open(undefined, key);
    expect(await load(store)).toEqual(await contentsOf(bundle));
    expect(await store.readFile('k', 'manifest.json', signal)).toHaveLength(300);
  }
});

describe('without the right key', () => {
  test.each([
    ['none', undefined, 'snapshot-locked'],
    ["somebody else's", stranger, 'wrong-key'],
  ])('nothing can be read, and the reason is told: %s', async (_, key, code) => {
    await saved();
    const store = await open(undefined, key);
    await expect(load(store)).rejects.toMatchObject({ code });
    await expect(store.readFile('k', 'manifest.json', signal)).rejects.toMatchObject({ code });
    expect(await store.list(signal)).toMatchObject([{ key: 'k' }]);
    expect(await store.remove('k', signal)).toBe(true);
  });

  test('damage is no wrong key, in whatever file', async () => {
    for (const key of [undefined, stranger]) {
      for (const [name, at] of [
        ['manifest.json.age', 60],
        ['data.tar.zst.age', 100_000],
        ['SHA256SUMS.age', 0],
      ] as const) {
        inner.storage.clear();
        await saved();
        inner.damage('k', name, at);
        await expect(load(await open(undefined, key))).rejects.toMatchObject({
          code: 'snapshot-corrupt',
          message: expect.stringContaining(name),
        });
      }
      inner.storage.clear();
      await saved();
      inner.damage('k', 'manifest.json.age', 60);
      const read = (await open(undefined, key)).readFile('k', 'manifest.json', signal);
      await expect(read).rejects.toMatchObject({ code: 'snapshot-corrupt' });
    }
  });
});

describe('with the right key', () => {
  test.each([
    ['manifest.json.age', 60], // in the header
    ['manifest.json.age', 400],
    ['data.tar.zst.age', 100],
    ['data.tar.zst.age', 100_000],
    ['data.tar.zst.age', 200_200],
    ['SHA256SUMS.age', 250],
    ['SHA256SUMS', 3], // of the sums themselves
  ])('a wrong byte is found: %s at %i', async (name, at) => {
    await saved();
    inner.damage('k', name, at);
    await expect(load(await open(undefined, identity))).rejects.toMatchObject({
      code: 'snapshot-corrupt',
    });
  });

  test('a file that is cut off, missing or too much is found', async () => {
    await saved();
    const whole = inner.storage.get('k');
    if (whole === undefined) throw new Error('it must be stored');
    const store = await open(undefined, identity);
    const refused = { code: 'snapshot-corrupt' };
    inner.truncate('k', 'data.tar.zst.age', 65_536);
    await expect(load(store)).rejects.toMatchObject(refused);
    for (const name of ['SHA256SUMS', 'data.tar.zst.age']) {
      const files = new Map(whole.files);
      files.delete(name);
      inner.storage.set('k', { ...whole, files });
      await expect(load(store)).rejects.toMatchObject(refused);
    }
    // Beside the encrypted files, or it would stand for what is decrypted.
    const files = new Map(whole.files).set('data.tar.zst', Buffer.from('of others'));
    inner.storage.set('k', { ...whole, files });
    await expect(load(store)).rejects.toMatchObject(refused);
  });
});

test('a bundle that cannot be encrypted is not saved, and nothing is left', async () => {
  const bundle = await scratch.bundle('k');
  await rm(join(bundle, 'data.tar.zst'));
  await (await open()).save('other', bundle, signal);
  const store = await open(recipient);
  await expect(store.save('k', join(scratch.path, 'nowhere'), signal)).rejects.toMatchObject({
    code: 'store-unavailable',
  });
  await expect(store.save('k', bundle, AbortSignal.abort())).rejects.toMatchObject({
    code: 'cancelled',
  });
  inner.failNext('save', new Error('no room'));
  await expect(store.save('k', bundle, signal)).rejects.toThrow('no room');
  expect(await readdir(scratch.path)).toEqual(['1-bundle']);
  expect(await store.find({ primary: 'k', prefixes: [] }, signal)).toBeUndefined();
});

test('it can do what the store can, and no more', () => {
  const keys = { encrypt: undefined, decrypt: undefined };
  expect(isReplaceable(createEncryptedStore(inner, keys))).toBe(true);
  const plain = createEncryptedStore(plainStore(inner), keys);
  expect([isListable(plain), isReplaceable(plain)]).toEqual([false, false]);
});

describe('the keys', () => {
  const keysOf = (texts: { identity?: string; passphrase?: string; encryptTo?: string[] }) =>
    readKeys({ encryptTo: [], ...texts }, { cwd: scratch.path, log: silentLog });

  test('may be files, with the comments of age-keygen, and are masked', async () => {
    const file = `# created: 2026-11-26\n# public key: ${recipient}\r\n${identity}\r\n`;
    await writeFile(join(scratch.path, 'key.txt'), file);
    await saved();
    expect(await load(await open(undefined, `\n${stranger}\nkey.txt\n`))).toBeDefined();
    const masked: string[] = [];
    const log = { ...silentLog, mask: (secret: string) => void masked.push(secret) };
    const texts = { encryptTo: [], identity: 'key.txt', passphrase: ' secret\n' };
    await readKeys(texts, { cwd: scratch.path, log });
    expect(masked).toEqual([identity, 'secret']);
    masked.length = 0;
    const atHome = { encryptTo: [], identity: '~/key.txt' };
    await readKeys(atHome, { cwd: '/', home: scratch.path, log });
    expect(masked).toEqual([identity]);
  });

  test('are refused before anything is done, without a secret in the message', async () => {
    const mistyped = `X${identity}`;
    await writeFile(join(scratch.path, 'no-key'), `${mistyped}\n`);
    for (const text of [
      mistyped,
      `${identity}\n${mistyped}`,
      ...['no-key', '.', `${identity}X`, `~${identity}`],
    ]) {
      const refused: unknown = await keysOf({ identity: text }).catch((error: unknown) => error);
      expect(refused).toMatchObject({ code: 'invalid-settings' });
      expect(String(refused)).toMatch(/identity: /);
      expect(JSON.stringify(refused)).not.toContain(identity.slice(20));
    }
    await expect(keysOf({ encryptTo: [recipient], passphrase: 'secret' })).rejects.toMatchObject({
      code: 'invalid-settings',
    });
  });

  test('are none where nothing is given', async () => {
    const none = { encrypt: undefined, decrypt: undefined };
    expect(await keysOf({ identity: ' \n', passphrase: ' \n' })).toEqual(none);
  });
});
