import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { generateX25519Identity, identityToRecipient } from 'age-encryption';

import { systemClock } from '../../../src/clock.ts';
import { silentLog } from '../../../src/index.ts';
import { createEncryptedStore } from '../../../src/stores/encrypted.ts';
import { readKeys } from '../../../src/stores/keys.ts';
import type { SnapshotTools } from '../../../src/usecases/context.ts';
import { explainMiss } from '../../../src/usecases/explain.ts';
import { pruneSnapshots } from '../../../src/usecases/prune.ts';
import { inspectSnapshot, listSnapshots } from '../../../src/usecases/stored.ts';
import { verifySnapshot, verifySnapshots } from '../../../src/usecases/verify.ts';
import { MemoryStore } from '../../support/memory-store.ts';
import { createScratch, type ScratchFolder } from '../../support/store-bundles.ts';
import { storeSnapshot } from '../../support/store-snapshots.ts';

const { signal } = new AbortController();
const all = { name: undefined, sample: undefined };
const identity = await generateX25519Identity();
const recipient = await identityToRecipient(identity);
const stranger = await generateX25519Identity();

let scratch: ScratchFolder;
let inner: MemoryStore;

/** A store with two encrypted snapshots, the second one damaged, and one that is not encrypted. */
beforeEach(async () => {
  scratch = await createScratch();
  inner = new MemoryStore();
  const { store } = await toolsWith({ encryptTo: [recipient] });
  await storeSnapshot(store, scratch, { key: 'a', name: 'shop' });
  await storeSnapshot(store, scratch, { key: 'b', name: 'shop' });
  await storeSnapshot(inner, scratch, { key: 'c', name: 'shop' });
  inner.damage('b', 'data.tar.zst.age', 900);
});
afterEach(() => scratch.remove());

async function toolsWith(
  texts: { readonly encryptTo?: string[]; readonly identity?: string } = {},
): Promise<SnapshotTools> {
  const keys = await readKeys({ encryptTo: [], ...texts }, { cwd: '/', log: silentLog });
  const scratchDir = await scratch.folder('run');
  return {
    store: createEncryptedStore(inner, keys),
    log: silentLog,
    clock: systemClock,
    scratchDir,
  };
}

describe('with the identity, an encrypted snapshot', () => {
  test('is listed, shown, verified and pruned as any other', async () => {
    const tools = await toolsWith({ identity });
    expect(await listSnapshots(tools, 'shop', signal)).toMatchObject(
      ['c', 'b', 'a'].map((key) => ({ key, engine: 'postgres', locked: false })),
    );
    expect(await inspectSnapshot(tools, 'a', signal)).toMatchObject({ manifest: { key: 'a' } });
    expect(await verifySnapshot(tools, 'a', signal)).toMatchObject({ key: 'a' });
    const { snapshots } = await verifySnapshots(tools, all, signal);
    expect(snapshots.map(({ state }) => state)).toEqual(['whole', 'damaged', 'whole']);
    const rules = { keepLast: 1, keepWithinMs: undefined, maxBytes: undefined };
    const request = { names: [], rules, protect: [], dryRun: false };
    const { removed } = await pruneSnapshots(tools, request, signal);
    expect(removed.map(({ key }) => key)).toEqual(['b', 'a']);
  });
});

describe.each([
  ['no key', undefined, 'snapshot-locked'],
  ['another key', stranger, 'wrong-key'],
])('with %s, an encrypted snapshot', (_, key, code) => {
  const given = key === undefined ? {} : { identity: key };

  test('is listed by its key, and cannot be shown or verified', async () => {
    const tools = await toolsWith(given);
    expect(await listSnapshots(tools, undefined, signal)).toMatchObject([
      { key: 'c', name: 'shop', locked: false },
      { key: 'b', name: undefined, locked: true },
      { key: 'a', name: undefined, locked: true },
    ]);
    await expect(inspectSnapshot(tools, 'a', signal)).rejects.toMatchObject({ code });
    await expect(verifySnapshot(tools, 'a', signal)).rejects.toMatchObject({ code });
  });

  test('is still known to be damaged, or as it was stored', async () => {
    const { snapshots } = await verifySnapshots(await toolsWith(given), all, signal);
    expect(snapshots).toMatchObject([
      { key: 'c', state: 'whole' },
      { key: 'b', state: 'damaged', problem: { code: 'snapshot-corrupt' } },
      { key: 'a', state: 'unverified', problem: { code } },
    ]);
  });

  test('stays when others are pruned, and explains no miss', async () => {
    const tools = await toolsWith(given);
    const rules = { keepLast: undefined, keepWithinMs: undefined, maxBytes: 1 };
    const request = { names: [], rules, protect: [], dryRun: false };
    const { removed, kept } = await pruneSnapshots(tools, request, signal);
    expect(removed.map(({ key }) => key)).toEqual(['c']);
    expect(kept.map(({ key }) => key)).toEqual(['b', 'a']);
    expect(await explainMiss(tools.store, [], undefined, signal)).toBe('no snapshot for this key');
  });
});
