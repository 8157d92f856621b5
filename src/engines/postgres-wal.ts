import type { ReadDataFile } from './engine.ts';

// Which files of the write-ahead log a server that has shut down will never read: those that it made, or recycled, for
// what is yet to be written. Whatever is not certain leaves nothing out.
// https://github.com/postgres/postgres/blob/master/src/include/access/xlog_internal.h

/**
 * Versions of pg_control (of Postgres 11, 12, 13 to 16, 17, 18) that begin like this, in the machine's order of bytes:
 * system identifier at 0, version at 8, state at 16, last checkpoint at 32, its timeline at 48.
 */
const knownVersions: readonly number[] = [1100, 1201, 1300, 1700, 1800];
const controlBytes = 52;

const mib = 1024n * 1024n;
/** The default first. https://www.postgresql.org/docs/current/app-initdb.html */
const segmentSizes = [16n, 1n, 2n, 4n, 8n, 32n, 64n, 128n, 256n, 512n, 1024n].map((n) => n * mib);

/** The largest page of the log. A checkpoint's record is smaller, and so ends in the next page at the latest. */
const pageBytes = 64n * 1024n;

/** Their presence makes the server look for log that comes from elsewhere. */
const recoveryFiles = ['recovery.signal', 'standby.signal', 'recovery.conf', 'backup_label'];

/**
 * Patterns of the log files of a server that has shut down that lie beyond its last checkpoint; `undefined` where that
 * cannot be told.
 */
export async function walBeyondCheckpoint(
  read: ReadDataFile,
): Promise<readonly string[] | undefined> {
  const control = await read('global/pg_control');
  if (!control || control.length < controlBytes) return undefined;
  if (!knownVersions.includes(control.readUInt32LE(8))) return undefined;
  for (const file of recoveryFiles) if ((await read(file)) !== undefined) return undefined;

  const checkpoint = control.readBigUInt64LE(32);
  const timeline = control.readUInt32LE(48);
  for (const segmentBytes of segmentSizes) {
    const segment = async (number: bigint): Promise<Segment | undefined> =>
      readSegment(await read(`pg_wal/${segmentName(timeline, number, segmentBytes)}`));
    const holdsOwnPages = (found: Segment | undefined, number: bigint): boolean =>
      found?.address === number * segmentBytes &&
      found.system === control.readBigUInt64LE(0) &&
      found.timeline === timeline &&
      found.segmentBytes === segmentBytes;

    const first = checkpoint / segmentBytes;
    if (!holdsOwnPages(await segment(first), first)) continue;
    const last = (checkpoint + pageBytes) / segmentBytes;
    // Log that goes on is no spare file, whatever it is.
    const next = await segment(last + 1n);
    if (next?.address === (last + 1n) * segmentBytes) return undefined;
    return namesAfter(segmentName(timeline, last, segmentBytes)).map((name) => `pg_wal/${name}`);
  }
  return undefined;
}

interface Segment {
  readonly timeline: number;
  /** Where its first page says it is in the log: in a file that was recycled, still its former place. */
  readonly address: bigint;
  readonly system: bigint;
  readonly segmentBytes: bigint;
}

const longHeader = 2;

/** What the first page of a file says of it. */
function readSegment(head: Buffer | undefined): Segment | undefined {
  if (!head || head.length < 36 || (head.readUInt16LE(2) & longHeader) === 0) return undefined;
  return {
    timeline: head.readUInt32LE(4),
    address: head.readBigUInt64LE(8),
    system: head.readBigUInt64LE(24),
    segmentBytes: BigInt(head.readUInt32LE(32)),
  };
}

const timelineDigits = 8;

/** `000000010000000A000000FF`: timeline, and the number in two parts. */
function segmentName(timeline: number, number: bigint, segmentBytes: bigint): string {
  const inEach = 0x1_0000_0000n / segmentBytes;
  return [BigInt(timeline), number / inEach, number % inEach]
    .map((part) => part.toString(16).toUpperCase().padStart(8, '0'))
    .join('');
}

const hexDigits = '0123456789ABCDEF';

/** Patterns of the names of the same timeline that sort after `name`, one for each digit that can be higher. */
export function namesAfter(name: string): string[] {
  return Array.from(name).flatMap((digit, at) => {
    const higher = hexDigits.slice(hexDigits.indexOf(digit) + 1);
    if (at < timelineDigits || higher === '') return [];
    return [`${name.slice(0, at)}[${higher}]${'?'.repeat(name.length - at - 1)}`];
  });
}
