import { headBlocks, idIn, paddingOf, recordsOf } from './tar-head.ts';
import { notTar, type HeaderFields } from './tar-header.ts';
import { TarReader, type TarEntry } from './tar-reader.ts';
import { checkMap, PaxMapReader, readPaxSparse, type Segment } from './tar-sparse.ts';

/** Bytes, or so many zeros. */
type Piece = Buffer | number;

const zeros = Buffer.alloc(1024 * 1024);

/**
 * A tar stream in the form that every tar understands, that of busybox too, which passes over pax headers: long names,
 * owners and sizes are told in GNU's older ways, and holes are zeros. What is left in pax headers can be done without:
 * attributes, ACLs, fractions of seconds.
 */
export async function* plainTar(source: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  let pieces: Piece[] = [];
  let file: HoleFiller | undefined;
  const emit = (piece: Piece): void => {
    pieces.push(piece);
  };
  const reader = new TarReader({
    entry(entry) {
      file?.requireComplete();
      const hasHoles = '07'.includes(entry.type) && entry.features.includes('sparse');
      file = hasHoles ? new HoleFiller(entry, emit) : undefined;
      for (const block of plainHead(entry, file?.realBytes ?? entry.contentBytes)) emit(block);
      file?.endIfComplete();
      return 'take';
    },
    content(part) {
      if (file) file.take(part);
      else emit(part);
    },
    endBlock(block) {
      file?.requireComplete();
      emit(block);
    },
  });
  for await (const chunk of source) {
    reader.read(chunk);
    yield* written(pieces);
    pieces = [];
  }
  reader.end();
}

/** Never all at once: a hole can be larger than any memory. */
function* written(pieces: readonly Piece[]): Generator<Buffer> {
  let bytes: Buffer[] = [];
  for (const piece of pieces) {
    if (typeof piece !== 'number') {
      bytes.push(piece);
      continue;
    }
    if (bytes.length > 0) yield Buffer.concat(bytes);
    bytes = [];
    for (let left = piece; left > 0; left -= zeros.length) yield zeros.subarray(0, left);
  }
  if (bytes.length > 0) yield Buffer.concat(bytes);
}

function plainHead(entry: TarEntry, contentBytes: number): Buffer[] {
  const { type, name, sparseName = name, linkName } = entry;
  const records = recordsOf(entry);
  const uid = idIn(records, 'uid');
  const gid = idIn(records, 'gid');
  const fields: HeaderFields = {
    ...(uid !== undefined && { uid }),
    ...(gid !== undefined && { gid }),
    ...('07'.includes(type) && { sizeBytes: contentBytes }),
  };
  const isTold = (key: string): boolean =>
    key === 'size' ||
    key.startsWith('GNU.sparse.') ||
    (key === 'uid' && uid !== undefined) ||
    (key === 'gid' && gid !== undefined);
  return headBlocks(entry, {
    name: sparseName,
    ...('12'.includes(type) && { linkName }),
    fields,
    records: (others) => others.filter(({ key }) => !isTold(key)),
  });
}

/** Puts zeros where a file has holes. */
class HoleFiller {
  readonly realBytes: number;
  readonly #emit: (piece: Piece) => void;
  readonly #map = new PaxMapReader();
  #segments: readonly Segment[] | undefined;
  #segment = 0;
  /** In the file, and of its data still to come. */
  #at = 0;
  #dataBytes: number;

  constructor(entry: TarEntry, emit: (piece: Piece) => void) {
    const { realBytes, segments } = readPaxSparse(recordsOf(entry));
    this.realBytes = realBytes;
    this.#emit = emit;
    this.#dataBytes = entry.contentBytes;
    if (segments !== 'in content') this.#begin(segments);
  }

  take(part: Buffer): void {
    let at = 0;
    if (this.#segments === undefined) {
      const { bytes, segments } = this.#map.read(part);
      this.#dataBytes -= bytes;
      if (segments === undefined) return;
      this.#begin(segments);
      this.endIfComplete();
      at = bytes;
    }
    // What is behind the data is padding.
    const data = part.subarray(at, at + this.#dataBytes);
    if (data.length === 0) return;
    this.#dataBytes -= data.length;
    this.#place(data);
    this.endIfComplete();
  }

  /** The rest of the file, and its padding. */
  endIfComplete(): void {
    if (this.#segments === undefined || this.#dataBytes > 0) return;
    this.#emit(this.realBytes - this.#at + paddingOf(this.realBytes));
  }

  /** To be called where all of its data was taken. */
  requireComplete(): void {
    if (this.#segments === undefined || this.#dataBytes > 0)
      throw notTar('an impossible map of holes');
  }

  #begin(segments: readonly Segment[]): void {
    checkMap({ segments, realBytes: this.realBytes }, this.#dataBytes);
    this.#segments = segments;
  }

  #place(data: Buffer): void {
    let rest = data;
    while (rest.length > 0) {
      const segment = this.#segments?.[this.#segment];
      if (segment === undefined) throw notTar('an impossible map of holes');
      const end = segment.at + segment.lengthBytes;
      if (this.#at < segment.at) {
        this.#emit(segment.at - this.#at);
        this.#at = segment.at;
      }
      const part = rest.subarray(0, end - this.#at);
      if (part.length > 0) this.#emit(part);
      rest = rest.subarray(part.length);
      this.#at += part.length;
      if (this.#at === end) this.#segment += 1;
    }
  }
}
