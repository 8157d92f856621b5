import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';

import { describe, expect, test } from '@jest/globals';
import * as age from 'age-encryption';

import { createDecrypt, createEncrypt, type Recipients } from '../../../src/stores/age.ts';
import { decryptFile, encryptFile } from '../../../src/stores/age-file.ts';
import { seededBytes, useScratch } from '../../support/store-bundles.ts';

const { signal } = new AbortController();
const scratch = useScratch();

const identity = await age.generateX25519Identity();
const recipient = await age.identityToRecipient(identity);
const other = await age.generateX25519Identity();

async function encrypted(bytes: Buffer, to?: Recipients): Promise<Buffer> {
  const dir = await scratch.folder('encrypt');
  const encrypt = await createEncrypt(to ?? { kind: 'recipients', recipients: [recipient] });
  await writeFile(join(dir, 'plain'), bytes);
  await encryptFile(join(dir, 'plain'), join(dir, 'age'), encrypt, signal);
  return readFile(join(dir, 'age'));
}

async function decrypted(bytes: Uint8Array, identities = [identity]): Promise<Buffer> {
  const decrypt = await createDecrypt({ identities, passphrase: undefined });
  const dir = await scratch.folder('decrypt');
  const [from, to] = [join(dir, 'age'), join(dir, 'plain')];
  await writeFile(from, bytes);
  await decryptFile('data.age', { from, to }, decrypt, signal);
  const plain = await readFile(to);
  expect(plain.equals(await buffer(decrypt('data.age', [bytes])))).toBe(true);
  return plain;
}

const block = 64 * 1024;
const sizes = [0, 1, block - 1, block, block + 1, 17 * block + 5];

test.each(sizes)('a file of %i bytes is the same file of age, both ways', async (size) => {
  const bytes = seededBytes('age', size);
  const ours = await encrypted(bytes);
  const decrypter = new age.Decrypter();
  decrypter.addIdentity(identity);
  expect(bytes.equals(await decrypter.decrypt(ours))).toBe(true);

  const encrypter = new age.Encrypter();
  encrypter.addRecipient(recipient);
  expect(bytes.equals(await decrypted(await encrypter.encrypt(bytes)))).toBe(true);
});

test('every recipient can open a file, of whatever kind, and nobody else', async () => {
  const hybrid = await age.generateHybridIdentity();
  const recipients = [await age.identityToRecipient(hybrid), recipient];
  const bytes = seededBytes('several', 1000);
  const file = await encrypted(bytes, { kind: 'recipients', recipients });
  for (const each of [hybrid, identity])
    expect(await decrypted(file, [other, each])).toEqual(bytes);
  await expect(decrypted(file, [other])).rejects.toMatchObject({
    code: 'wrong-key',
    message:
      'data.age is encrypted for recipients, and no identity that was given is one of theirs',
  });
});

test('a passphrase opens what was encrypted with it, in the format of age', async () => {
  const bytes = seededBytes('passphrase', 1000);
  const ours = await encrypted(bytes, { kind: 'passphrase', passphrase: 'correct horse' });
  const decrypter = new age.Decrypter();
  decrypter.addPassphrase('correct horse');
  expect(bytes.equals(await decrypter.decrypt(ours))).toBe(true);

  const encrypter = new age.Encrypter();
  encrypter.setPassphrase('correct horse');
  encrypter.setScryptWorkFactor(10);
  const theirs = Buffer.from(await encrypter.encrypt(bytes));
  const open = async (passphrase: string) =>
    buffer((await createDecrypt({ identities: [other], passphrase }))('data.age', [theirs]));
  expect(await open('correct horse')).toEqual(bytes);
  await expect(open('wrong')).rejects.toMatchObject({
    code: 'wrong-key',
    message: 'data.age is encrypted with a passphrase, and not with one that was given',
  });
});

describe('damage', () => {
  const bytes = seededBytes('damage', 3 * block);

  test('of any byte of the payload, the nonce or the header is noticed', async () => {
    const file = await encrypted(bytes);
    const first = file.indexOf('\n--- ') + 5;
    for (const at of [0, first, first + 44, first + 60, file.length >> 1, file.length - 1]) {
      const altered = Buffer.from(file);
      altered.writeUInt8(altered.readUInt8(at) ^ 1, at);
      await expect(decrypted(altered)).rejects.toMatchObject({ code: 'snapshot-corrupt' });
    }
  });

  test('by an end that is missing, at a block or elsewhere, and by more than there was', async () => {
    const file = await encrypted(bytes);
    const head = file.length - 3 * (block + 16);
    const lengths = [0, 10, head - 20, head - 1, head, head + 8, head + 16, head + block];
    for (const length of [...lengths, head + block + 16, file.length - 16, file.length - 1]) {
      await expect(decrypted(file.subarray(0, length))).rejects.toMatchObject({
        code: 'snapshot-corrupt',
      });
    }
    await expect(decrypted(Buffer.concat([file, Buffer.alloc(16)]))).rejects.toMatchObject({
      code: 'snapshot-corrupt',
    });
  });

  test('by a header without an end is noticed before it fills the memory', async () => {
    let count = 0;
    const endless = function* (): Generator<Uint8Array> {
      for (yield Buffer.from('age-encryption.org/v1\n'); count < 1000; count += 1) {
        yield Buffer.alloc(block, 'a');
      }
    };
    const decrypt = await createDecrypt({ identities: [identity], passphrase: undefined });
    await expect(buffer(decrypt('data.age', endless()))).rejects.toMatchObject({
      code: 'snapshot-corrupt',
    });
    expect(count).toBeLessThan(8);
  });

  test('by a passphrase that takes more work than age asks for is refused before it is done', async () => {
    const header = `age-encryption.org/v1\n-> scrypt ${'A'.repeat(22)} 19\n${'A'.repeat(43)}\n--- ${'A'.repeat(43)}\n`;
    const decrypt = await createDecrypt({ identities: [], passphrase: 'x' });
    await expect(buffer(decrypt('data.age', [Buffer.from(header)]))).rejects.toMatchObject({
      code: 'snapshot-corrupt',
      message: expect.stringContaining('more work'),
    });
  });

  test('by blocks in another order is noticed', async () => {
    const file = await encrypted(bytes);
    const head = file.length - 3 * (block + 16);
    const part = (n: number) =>
      file.subarray(head + n * (block + 16), head + (n + 1) * (block + 16));
    const swapped = Buffer.concat([file.subarray(0, head), part(1), part(0), part(2)]);
    await expect(decrypted(swapped)).rejects.toMatchObject({ code: 'snapshot-corrupt' });
  });
});

test('what is no recipient is named, what is no identity is not', async () => {
  const typo = `${recipient.slice(0, -1)}${recipient.endsWith('q') ? 'p' : 'q'}`;
  await expect(
    createEncrypt({ kind: 'recipients', recipients: [recipient, typo] }),
  ).rejects.toMatchObject({ code: 'invalid-settings', message: expect.stringContaining(typo) });
  await expect(createEncrypt({ kind: 'recipients', recipients: [identity] })).rejects.toMatchObject(
    { message: 'encrypt-to: an identity is not an age recipient' },
  );
  const secret = `${identity.slice(0, -1)}${identity.endsWith('Q') ? 'P' : 'Q'}`;
  const refused: unknown = await createDecrypt({
    identities: [secret],
    passphrase: undefined,
  }).catch((error: unknown) => error);
  expect(refused).toMatchObject({ code: 'invalid-settings' });
  expect(refused).not.toHaveProperty('cause');
  expect(String(refused)).not.toContain(secret.slice(20).toLowerCase());
  expect(String(refused)).not.toContain(secret.slice(20));
});
