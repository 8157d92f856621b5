import { createCipheriv, createDecipheriv, hkdfSync } from 'node:crypto';

import { AppError } from '../errors.ts';

// The payload of an age file, https://c2sp.org/age#payload: blocks of ChaCha20-Poly1305. Here and not by the package
// `age-encryption`, because OpenSSL does it ten times as fast as JavaScript can.

export const payloadNonceBytes = 16;
const blockBytes = 64 * 1024;
const tagBytes = 16;
const cipher = 'chacha20-poly1305';

/** @param nonce new random bytes for every file; they stand before the payload */
export async function* encryptPayload(
  source: AsyncIterable<Buffer> | Iterable<Buffer>,
  fileKey: Uint8Array,
  nonce: Uint8Array,
): AsyncGenerator<Buffer> {
  const key = payloadKey(fileKey, nonce);
  for await (const { bytes, counter, isLast } of blocksOf(source, blockBytes)) {
    const cipherer = createCipheriv(cipher, key, blockNonce(counter, isLast), {
      authTagLength: tagBytes,
    });
    yield Buffer.concat([cipherer.update(bytes), cipherer.final(), cipherer.getAuthTag()]);
  }
}

/**
 * Gives no byte that was not authenticated.
 * @param label names the file in errors
 * @throws `snapshot-corrupt`
 */
export async function* decryptPayload(
  label: string,
  source: AsyncIterable<Buffer> | Iterable<Buffer>,
  fileKey: Uint8Array,
  nonce: Uint8Array,
): AsyncGenerator<Buffer> {
  const key = payloadKey(fileKey, nonce);
  for await (const { bytes, counter, isLast } of blocksOf(source, blockBytes + tagBytes)) {
    const length = bytes.length - tagBytes;
    // Only an empty file has an empty block.
    if (length < 0 || (length === 0 && counter > 0)) throw damaged(label, 'its end is missing');
    const decipher = createDecipheriv(cipher, key, blockNonce(counter, isLast), {
      authTagLength: tagBytes,
    });
    decipher.setAuthTag(bytes.subarray(length));
    const plain = decipher.update(bytes.subarray(0, length));
    try {
      decipher.final();
    } catch {
      throw damaged(label, isLast ? 'its end is missing or altered' : 'it was altered');
    }
    yield plain;
  }
}

export function damaged(label: string, how: string): AppError {
  return new AppError('snapshot-corrupt', `${label} is damaged: ${how}`);
}

function payloadKey(fileKey: Uint8Array, nonce: Uint8Array): Uint8Array {
  return new Uint8Array(hkdfSync('sha256', fileKey, nonce, 'payload', 32));
}

/** 11 bytes of a counter, and 1 for the last block: so that no block can be moved, and no end cut off. */
function blockNonce(counter: number, isLast: boolean): Buffer {
  const nonce = Buffer.alloc(12);
  nonce.writeUIntBE(counter, 5, 6);
  nonce[11] = isLast ? 1 : 0;
  return nonce;
}

interface Block {
  readonly bytes: Buffer;
  readonly counter: number;
  readonly isLast: boolean;
}

/** Cuts a stream into blocks. The last one may be short, and is empty only where there are no bytes at all. */
async function* blocksOf(
  source: AsyncIterable<Buffer> | Iterable<Buffer>,
  sizeBytes: number,
): AsyncGenerator<Block> {
  let held: Buffer = Buffer.alloc(0);
  let counter = 0;
  for await (const piece of source) {
    let rest: Buffer = held.length === 0 ? piece : Buffer.concat([held, piece]);
    // A full block may be the last one: it is held until there is more.
    for (; rest.length > sizeBytes; rest = rest.subarray(sizeBytes), counter += 1) {
      yield { bytes: rest.subarray(0, sizeBytes), counter, isLast: false };
    }
    held = rest;
  }
  yield { bytes: held, counter, isLast: true };
}
