import type { PaxRecord } from './tar-extension.ts';
import { blockBytes, notTar, parseSize, readNumber } from './tar-header.ts';

// Files with holes: https://www.gnu.org/software/tar/manual/html_node/Sparse-Formats.html

/** A piece of data; what is before and behind it in the file is a hole. */
export interface Segment {
  readonly at: number;
  readonly lengthBytes: number;
}

export interface SparseMap {
  readonly segments: readonly Segment[];
  /** Of the file, holes included. */
  readonly realBytes: number;
}

/** In a header of type `S`, and in a block that goes on with one. */
const oldMap = {
  header: { start: 386, segments: 4, continuedAt: 482 },
  continuation: { start: 0, segments: 21, continuedAt: 504 },
} as const;

const segmentBytes = 24;
const segmentsLimit = 1_000_000;

/** Whether another block goes on with a header of type `S`, or with the last such block. */
export function isContinued(block: Buffer, kind: keyof typeof oldMap): boolean {
  return block[oldMap[kind].continuedAt] === 1;
}

/** The map of an entry of type `S`. @throws `snapshot-corrupt` */
export function readOldMap(header: Buffer, continuation: readonly Buffer[]): SparseMap {
  const segments = [
    ...segmentsIn(header, oldMap.header),
    ...continuation.flatMap((block) => segmentsIn(block, oldMap.continuation)),
  ];
  return { segments, realBytes: readNumber(header, 483) };
}

function segmentsIn(
  block: Buffer,
  { start, segments }: { readonly start: number; readonly segments: number },
): Segment[] {
  const starts = Array.from({ length: segments }, (_, i) => start + i * segmentBytes);
  // A place that is not used has no length.
  return starts
    .filter((at) => block[at + 12] !== 0)
    .map((at) => ({ at: readNumber(block, at), lengthBytes: readNumber(block, at + 12) }));
}

/** What GNU's pax format 1.0 has before the data: the map, in decimal lines, in whole blocks. */
export function paxMap({ segments }: SparseMap): Buffer {
  const numbers = [
    segments.length,
    ...segments.flatMap(({ at, lengthBytes }) => [at, lengthBytes]),
  ];
  const text = Buffer.from(`${numbers.join('\n')}\n`);
  return Buffer.concat([text, Buffer.alloc(-text.length & (blockBytes - 1))]);
}

/** The name of a file with holes for who does not know of them. GNU tar has its process number where the 0 is. */
export function aliasOf(name: string): string {
  const at = name.lastIndexOf('/') + 1;
  return `${name.slice(0, at)}GNUSparseFile.0/${name.slice(at)}`;
}

/**
 * What pax records say of a file with holes. In format 1.0 the map itself is in front of the data.
 * @throws `snapshot-corrupt`
 */
export function readPaxSparse(records: readonly PaxRecord[]): {
  readonly realBytes: number;
  readonly segments: readonly Segment[] | 'in content';
} {
  const told = (key: string): string | undefined =>
    records.findLast((record) => record.key === `GNU.sparse.${key}`)?.value;
  const realBytes = parseSize(told('realsize') ?? told('size') ?? '');
  const major = told('major');
  if (major === '1' && told('minor') === '0') return { realBytes, segments: 'in content' };
  if (major !== undefined && major !== '0') throw notTar('holes of an unknown format');
  const numbers =
    told('map')?.split(',') ??
    records.flatMap(({ key, value }) =>
      /^GNU\.sparse\.(offset|numbytes)$/.test(key) ? [value] : [],
    );
  return { realBytes, segments: pairs(numbers.filter((text) => text !== '').map(parseSize)) };
}

function pairs(numbers: readonly number[]): Segment[] {
  return Array.from({ length: numbers.length / 2 }, (_, i) => ({
    at: numbers[2 * i] ?? 0,
    lengthBytes: numbers[2 * i + 1] ?? 0,
  }));
}

/** Reads the map in front of the data of format 1.0, piece by piece. */
export class PaxMapReader {
  readonly #numbers: number[] = [];
  #digits = '';
  #bytes = 0;

  /** The map once it is complete. `bytes`: how much of `part` it and its padding take. */
  read(part: Buffer): {
    readonly bytes: number;
    readonly segments: readonly Segment[] | undefined;
  } {
    for (const [i, byte] of part.entries()) {
      if (this.#isComplete()) {
        if (this.#bytes % blockBytes === 0)
          return { bytes: i, segments: pairs(this.#numbers.slice(1)) };
      } else if (byte === 0x0a) {
        this.#numbers.push(parseSize(this.#digits));
        this.#digits = '';
        if ((this.#numbers[0] ?? 0) > segmentsLimit) throw notTar('a file with too many holes');
      } else {
        this.#digits += String.fromCharCode(byte);
        if (this.#digits.length > 20) throw notTar('an impossible map of holes');
      }
      this.#bytes += 1;
    }
    const done = this.#isComplete() && this.#bytes % blockBytes === 0;
    return { bytes: part.length, segments: done ? pairs(this.#numbers.slice(1)) : undefined };
  }

  #isComplete(): boolean {
    const [count] = this.#numbers;
    return count !== undefined && this.#numbers.length === 1 + 2 * count;
  }
}

/** @throws `snapshot-corrupt` where data is not in order, not in the file, or not as much as is there */
export function checkMap({ segments, realBytes }: SparseMap, dataBytes: number): void {
  let end = 0;
  let sum = 0;
  for (const { at, lengthBytes } of segments) {
    if (at < end) throw notTar('an impossible map of holes');
    end = at + lengthBytes;
    sum += lengthBytes;
  }
  if (end > realBytes || sum !== dataBytes) throw notTar('an impossible map of holes');
}
