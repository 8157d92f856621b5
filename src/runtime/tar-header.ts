import { AppError } from '../errors.ts';

export const blockBytes = 512;

const space = 0x20;
const zero = 0x30;

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
  const prefix = isPosix(block) ? text(block, 345, 155) : '';
  const name = text(block, 0, 100);
  return {
    type: type === '\0' ? '0' : type,
    sizeBytes: readNumber(block, 124),
    name: prefix === '' ? name : `${prefix}/${name}`,
    linkName: text(block, 157, 100),
  };
}

/** Whether a block is a header of tar, and nothing else by all likelihood. */
export function isHeader(block: Buffer): boolean {
  try {
    return block.length === blockBytes && !isZero(block) && readHeader(block).name !== '';
  } catch {
    return false;
  }
}

/** Up to the first zero byte. */
export function text(block: Buffer, start: number, length: number): string {
  let end = start;
  while (end < start + length && block[end] !== 0) end += 1;
  return end === start ? '' : block.toString('latin1', start, end);
}

/**
 * A size or time, in twelve bytes, or an owner, in eight. What does not fit their octal digits (one less) is told in
 * GNU's way: a set top bit and a big-endian number.
 */
export function readNumber(block: Buffer, start: number, length: 8 | 12 = 12): number {
  if (((block[start] ?? 0) & 0x80) === 0) return readOctal(block, start, length);
  const bytes = Buffer.from(block.subarray(start, start + length));
  bytes.writeUInt8(bytes.readUInt8() & 0x7f);
  const number = BigInt(`0x${bytes.toString('hex')}`);
  if (number > BigInt(Number.MAX_SAFE_INTEGER)) throw notTar('an impossible size');
  return Number(number);
}

function readOctal(block: Buffer, start: number, length: number): number {
  const end = start + length;
  let at = start;
  let value = 0;
  while (at < end && block[at] === space) at += 1;
  for (; at < end; at += 1) {
    const digit = (block[at] ?? 0) - zero;
    if (digit < 0 || digit > 7) break;
    value = value * 8 + digit;
  }
  // Nothing behind the first space or zero byte: some tars would read on.
  while (at < end && (block[at] === space || block[at] === 0)) at += 1;
  if (at < end) throw notTar('a number that is not octal');
  return value;
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
  let sum = 8 * space;
  for (let i = 0; i < 148; i++) sum += block[i] ?? 0;
  for (let i = 156; i < blockBytes; i++) sum += block[i] ?? 0;
  return sum;
}

/** What can be changed in a header block. Names of up to 100 bytes, as in {@link Header}. */
export interface HeaderFields {
  readonly name?: string;
  readonly linkName?: string;
  readonly type?: string;
  readonly mode?: number;
  readonly uid?: number;
  readonly gid?: number;
  readonly sizeBytes?: number;
  /** In seconds. */
  readonly time?: number;
}

/** A copy of a header block with some of its fields changed. */
export function changedHeader(block: Buffer, fields: HeaderFields): Buffer {
  const copy = Buffer.from(block);
  const { name, linkName, type, mode, uid, gid, sizeBytes, time } = fields;
  if (name !== undefined) {
    writeText(copy, 0, 100, name);
    // No further than it goes: star keeps times in the end of the field.
    if (isPosix(copy)) copy.fill(0, 345, 345 + text(copy, 345, 155).length);
  }
  if (linkName !== undefined) writeText(copy, 157, 100, linkName);
  if (type !== undefined) copy.write(type, 156, 'latin1');
  if (mode !== undefined) writeNumber(copy, 100, 8, mode);
  if (uid !== undefined) writeNumber(copy, 108, 8, uid);
  if (gid !== undefined) writeNumber(copy, 116, 8, gid);
  if (sizeBytes !== undefined) writeNumber(copy, 124, 12, sizeBytes);
  if (time !== undefined) writeNumber(copy, 136, 12, time);
  copy.write(`${checksum(copy).toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return copy;
}

/** A header block of POSIX that says this, and root, and the beginning of time. */
export function newHeader(fields: HeaderFields): Buffer {
  const zero = { mode: 0o644, uid: 0, gid: 0, sizeBytes: 0, time: 0 };
  return changedHeader(inPosix(Buffer.alloc(blockBytes)), { ...zero, ...fields });
}

/** A copy without what only GNU's older format knows: a prefix takes that place in POSIX. */
export function inPosix(block: Buffer): Buffer {
  const copy = Buffer.from(block);
  copy.write('ustar\x0000', 257, 'latin1');
  copy.fill(0, 345);
  return changedHeader(copy, {});
}

function isPosix(block: Buffer): boolean {
  return block.toString('latin1', 257, 263) === 'ustar\0';
}

function writeText(block: Buffer, start: number, length: number, value: string): void {
  block.fill(0, start, start + length);
  block.write(value, start, length, 'latin1');
}

/** In octal, or in GNU's way where that is too short. */
function writeNumber(block: Buffer, start: number, length: number, value: number): void {
  const digits = value.toString(8).padStart(length - 1, '0');
  if (digits.length < length) {
    block.write(`${digits}\0`, start, 'latin1');
    return;
  }
  block.fill(0, start, start + length);
  block.writeBigUInt64BE(BigInt(value), start + length - 8);
  block.writeUInt8(block.readUInt8(start) | 0x80, start);
}
