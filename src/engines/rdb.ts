/** The head of a dump of Redis or Valkey. */
export interface RdbHead {
  /** Of the server that wrote it. */
  readonly version?: string;
  /** True when no key follows the head. */
  readonly empty: boolean;
  readonly problem?: string;
}

const auxiliaryField = 0xfa;
/** What comes before the first key says nothing of keys: functions and modules' data may stand there. */
const endOfFile = 0xff;
const magic = /^(REDIS\d{4}|VALKEY\d{3})/;

/**
 * Reads the head of a dump: its magic, then auxiliary fields, among them the version of the server.
 * https://github.com/redis/redis/blob/unstable/src/rdb.h, and rdbSaveInfoAuxFields in rdb.c
 */
export function readRdb(bytes: Buffer): RdbHead {
  if (!magic.test(bytes.toString('latin1', 0, 9))) {
    return { empty: true, problem: 'dump.rdb does not begin as a dump does: it is damaged' };
  }
  let at = 9;
  let version: string | undefined;
  const text = (): string => {
    const { value, next } = readString(bytes, at);
    at = next;
    return value;
  };
  while (bytes[at] === auxiliaryField) {
    at += 1;
    const field = text();
    const value = text();
    if (field === 'redis-ver' || field === 'valkey-ver') version = value;
  }
  return { ...(version !== undefined && { version }), empty: bytes[at] === endOfFile };
}

/** A string with its length before it, or a number as an integer of 1, 2 or 4 bytes. */
function readString(bytes: Buffer, at: number): { value: string; next: number } {
  const first = bytes[at] ?? 0;
  const rest = first & 0x3f;
  switch (first >> 6) {
    case 0:
      return { value: bytes.toString('utf8', at + 1, at + 1 + rest), next: at + 1 + rest };
    case 1: {
      const end = at + 2 + ((rest << 8) | (bytes[at + 1] ?? 0));
      return { value: bytes.toString('utf8', at + 2, end), next: end };
    }
    default: {
      const width = 1 << rest; // 0xc0, 0xc1, 0xc2
      return { value: '', next: at + 1 + width };
    }
  }
}
