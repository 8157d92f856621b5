import { execFile } from 'node:child_process';
import { mkdtemp, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

import { describe, expect, test } from '@jest/globals';
import { generateX25519Identity, identityToRecipient } from 'age-encryption';

import { silentLog } from '../../src/index.ts';
import { createEncryptedStore } from '../../src/stores/encrypted.ts';
import { createFileStore } from '../../src/stores/file.ts';
import { readKeys } from '../../src/stores/keys.ts';
import type { SnapshotStore } from '../../src/stores/store.ts';
import { contentsOf, fill, useScratch } from '../support/store-bundles.ts';
import { oddKeys, testStoreContract } from '../support/store-contract.ts';

const run = promisify(execFile);
const { signal } = new AbortController();
const identity = await generateX25519Identity();
const recipient = await identityToRecipient(identity);

async function openStore(dir: string): Promise<SnapshotStore> {
  const texts = { encryptTo: [recipient], identity };
  return createEncryptedStore(
    createFileStore(dir),
    await readKeys(texts, { cwd: dir, log: silentLog }),
  );
}

testStoreContract(
  'the store in a folder, encrypted,',
  async () => {
    const dir = await mkdtemp(join(tmpdir(), 'snapvol-store-'));
    return {
      store: await openStore(dir),
      reopen: () => openStore(dir),
      close: () => rm(dir, { recursive: true, force: true }),
    };
  },
  {
    // The files, with a header of 168 bytes, a nonce and a tag for each; and the sums of those.
    storedBytes: 300 + 4096 + 160 + 3 * (168 + 16 + 16) + 248,
    // The store below knows them all, and each takes a while to encrypt.
    withoutKeys: oddKeys.slice(4),
  },
);

describe('the program age', () => {
  const scratch = useScratch();
  const sizes = { 'manifest.json': 300, SHA256SUMS: 160, 'data.tar.zst': 300_000 };

  test('opens what we have stored, and sha256sum checks it', async () => {
    const [dir, bundle] = [await scratch.folder('store'), await scratch.folder('bundle')];
    await fill(bundle, 'ours', sizes);
    await (await openStore(dir)).save('k', bundle, signal);
    const stored = join(dir, 'k');
    await run('sha256sum', ['--check', '--strict', 'SHA256SUMS'], { cwd: stored });
    const opened = await scratch.folder('opened');
    await writeFile(join(scratch.path, 'key.txt'), `${identity}\n`);
    for (const name of Object.keys(sizes)) {
      const files = ['--output', join(opened, name), join(stored, `${name}.age`)];
      await run('age', ['--decrypt', '--identity', join(scratch.path, 'key.txt'), ...files]);
    }
    expect(await contentsOf(opened)).toEqual(await contentsOf(bundle));
  });

  test('makes bundles that we open, with its own keys', async () => {
    const [dir, bundle] = [await scratch.folder('store'), await scratch.folder('bundle')];
    await fill(bundle, 'theirs', sizes);
    const keyFile = join(scratch.path, 'theirs.txt');
    await run('age-keygen', ['--output', keyFile]);
    const { stdout: theirs } = await run('age-keygen', ['-y', keyFile]);
    const script = `mkdir k
      for file in ${bundle}/*; do age --recipient ${theirs.trim()} --output "k/$(basename "$file").age" "$file"; done
      cd k && sha256sum *.age > SHA256SUMS`;
    await run('bash', ['-e', '-c', script], { cwd: dir });
    const keys = await readKeys(
      { encryptTo: [], identity: 'theirs.txt' },
      { cwd: scratch.path, log: silentLog },
    );
    const loaded = await scratch.folder('loaded');
    const store = createEncryptedStore(createFileStore(dir), keys);
    expect(await store.load({ key: 'k', exact: true }, loaded, signal)).toBe(true);
    expect(await contentsOf(loaded)).toEqual(await contentsOf(bundle));
  });
});

test('a large file takes no more memory than a small one', async () => {
  const scratch = await mkdtemp(join(tmpdir(), 'snapvol-large-'));
  try {
    await writeFile(join(scratch, 'plain'), '');
    await truncate(join(scratch, 'plain'), 300_000_000);
    const keys = JSON.stringify({ kind: 'recipients', recipients: [recipient] });
    const secrets = JSON.stringify({ identities: [identity] });
    const script = `
      const { createDecrypt, createEncrypt } = await import('./src/stores/age.ts');
      const { encryptFile, decryptFile } = await import('./src/stores/age-file.ts');
      const { signal } = new AbortController();
      const [from, to] = ['${scratch}/age', '${scratch}/back'];
      await encryptFile('${scratch}/plain', from, await createEncrypt(${keys}), signal);
      await decryptFile('age', { from, to }, await createDecrypt(${secrets}), signal);
      console.log(process.resourceUsage().maxRSS * 1024);`;
    const node = ['--no-warnings', '--input-type=module', '--eval', script];
    const { stdout } = await run(process.execPath, node, {
      cwd: join(import.meta.dirname, '../..'),
    });
    expect(Number(stdout)).toBeLessThan(300_000_000);
    await run('cmp', [join(scratch, 'plain'), join(scratch, 'back')]);
  } finally {
    await rm(scratch, { recursive: true });
  }
});
