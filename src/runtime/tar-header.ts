import { AppError } from '../errors.ts';

export const blockBytes = 512;

/** What a header block says, as far as copying needs it. Names are bytes, one character each (latin1). */
export interface Header {
  /** One character; `0` for a regular file however it was written. */
  readonly type: string;
  readonly sizeBytes: number;
  /** As far as they fit the header. */
  readonly name: string;
  readonly linkName: string;
}

/** @throws `snapshot-corrupt` */
export function readHeader(block: Buffer): Header {
  if (checksum(block) !== readOctal(block, 148, 8)) throw notTar('a header with a wrong checksum');
  const type = String.fromCharCode(block[156] ?? 0);
  // Only POSIX headers have a prefix; the older GNU ones keep other things there.
  const prefix = block.toString('latin1', 257, 263) === 'ustar\0' ? text(block, 345, 155) : '';
  const name = text(block, 0, 100);
  return {
    type: type === '\0' ? '0' : type,
    sizeBytes: readSize(block),
    name: prefix === '' ? name : `${prefix}/${name}`,
    linkName: text(block, 157, 100),
  };
}

/** Up to the first zero byte. */
export function text(block: Buffer, start: number, length: number): string {
  return block.toString('latin1', start, start + length).replace(/\0.*$/s, '');
}

/** Sizes from 8 GiB on do not fit eleven octal digits: GNU's way is a set top bit and a big-endian number. */
function readSize(block: Buffer): number {
  if (((block[124] ?? 0) & 0x80) === 0) return readOctal(block, 124, 12);
  const size = block.readBigUInt64BE(128);
  if (block.readUIntBE(124, 4) !== 0x80000000 || size > BigInt(Number.MAX_SAFE_INTEGER))
    throw notTar('an impossible size');
  return Number(size);
}

function readOctal(block: Buffer, start: number, length: number): number {
  const digits = text(block, start, length).trim();
  if (!/^[0-7]*$/.test(digits)) throw notTar('a number that is not octal');
  return digits === '' ? 0 : Number.parseInt(digits, 8);
}

export function parseSize(value: string): number {
  const size = Number(value);
  if (!/^\d+$/.test(value) || !Number.isSafeInteger(size)) throw notTar('an impossible size');
  return size;
}

export function isZero(block: Buffer): boolean {
  return block.every((byte) => byte === 0);
}

export function notTar(problem: string): AppError {
  return new AppError('snapshot-corrupt', `not a whole tar stream: ${problem}`);
}

/** Sum of all bytes, its own field counted as spaces. */
function checksum(block: Buffer): number {
  let sum = 8 * 0x20;
  for (let i = 0; i < blockBytes; i++) if (i < 148 || i >= 156) sum += block[i] ?? 0;
  return sum;
}

/** A copy of a header block under another, short name. */
export function renamed(block: Buffer, name: string): Buffer {
  const copy = Buffer.from(block);
  copy.fill(0, 0, 100);
  copy.write(name, 0, 100, 'latin1');
  copy.write(`${checksum(copy).toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return copy;
}
