import { createHash, randomBytes } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { open } from 'node:fs/promises';
import { buffer } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';

import { AppError } from '../errors.ts';
import type { MakeHeader, OpenHeader } from './age.ts';
import { damaged, decryptPayload, encryptPayload, payloadNonceBytes } from './age-payload.ts';

const chunkBytes = 1024 * 1024;

/** One recipient takes 100 bytes, of the post-quantum kind 1600. */
const headerLimitBytes = 256 * 1024;
const headerEnd = /\n--- [A-Za-z0-9+/]{43}\n/;

/** Encrypts `from` to the new file `to`, in the format of `age`. Resolves with the sha256 of what was written. */
export async function encryptFile(
  from: string,
  to: string,
  makeHeader: MakeHeader,
  signal: AbortSignal,
): Promise<string> {
  const { header, fileKey } = await makeHeader();
  const nonce = randomBytes(payloadNonceBytes);
  const hash = createHash('sha256');
  await pipeline(
    createReadStream(from, { highWaterMark: chunkBytes }),
    async function* (source: AsyncIterable<Buffer>) {
      const head = Buffer.concat([header, nonce]);
      hash.update(head);
      yield head;
      for await (const bytes of encryptPayload(source, fileKey, nonce)) {
        hash.update(bytes);
        yield bytes;
      }
    },
    createWriteStream(to, { flags: 'wx', highWaterMark: chunkBytes }),
    { signal },
  );
  return hash.digest('hex');
}

/**
 * Decrypts `from` to the new file `to`. Resolves with the sha256 of what was read.
 * @param label names the file in errors
 * @throws `snapshot-corrupt`; `wrong-key`: then the header is whole, and `to` is not made
 */
export async function decryptFile(
  label: string,
  { from, to }: { readonly from: string; readonly to: string },
  openHeader: OpenHeader,
  signal: AbortSignal,
): Promise<string> {
  const { head, fileKey, nonce } = await openHead(label, await readHead(from), openHeader);
  const hash = createHash('sha256').update(head);
  await pipeline(
    createReadStream(from, { start: head.length, highWaterMark: chunkBytes }),
    (source: AsyncIterable<Buffer>) => decryptPayload(label, hashed(source, hash), fileKey, nonce),
    createWriteStream(to, { flags: 'wx', highWaterMark: chunkBytes }),
    { signal },
  );
  return hash.digest('hex');
}

/** As `decryptFile`, for a small one. */
export async function decryptBytes(
  label: string,
  bytes: Buffer,
  openHeader: OpenHeader,
): Promise<Buffer> {
  const { head, fileKey, nonce } = await openHead(label, bytes, openHeader);
  const payload = [bytes.subarray(head.length)];
  return buffer(decryptPayload(label, payload, fileKey, nonce));
}

interface Head {
  /** All bytes before the payload. */
  readonly head: Buffer;
  readonly fileKey: Uint8Array;
  readonly nonce: Buffer;
}

async function openHead(label: string, bytes: Buffer, openHeader: OpenHeader): Promise<Head> {
  const end = headerEnd.exec(bytes.toString('latin1', 0, headerLimitBytes));
  if (end === null) throw damaged(label, 'it is no file of age');
  const headerBytes = end.index + end[0].length;
  const head = bytes.subarray(0, headerBytes + payloadNonceBytes);
  const nonce = head.subarray(headerBytes);
  if (nonce.length < payloadNonceBytes) throw damaged(label, 'its end is missing');
  const opened = await openHeader(head.subarray(0, headerBytes)).catch(() => undefined);
  if (opened === undefined) throw damaged(label, 'its header was altered');
  if (opened.kind === 'open') return { head, nonce, fileKey: opened.fileKey };
  throw new AppError('wrong-key', `${label} is encrypted ${wanted[opened.wants]}`, {
    hint: 'Give an identity or a passphrase that it was encrypted for',
  });
}

const wanted = {
  identity: 'for recipients, and no identity that was given is one of theirs',
  passphrase: 'with a passphrase, and not with one that was given',
};

async function readHead(file: string): Promise<Buffer> {
  await using handle = await open(file);
  const buffer = Buffer.alloc(headerLimitBytes);
  let length = 0;
  for (;;) {
    const { bytesRead } = await handle.read(buffer, length, buffer.length - length, length);
    if (bytesRead === 0) return buffer.subarray(0, length);
    length += bytesRead;
  }
}

async function* hashed(
  source: AsyncIterable<Buffer>,
  hash: { update(bytes: Buffer): unknown },
): AsyncGenerator<Buffer> {
  for await (const bytes of source) {
    hash.update(bytes);
    yield bytes;
  }
}
