import { Writable } from 'node:stream';

import { commonFolder, isFolder, pathOf } from './tar-path.ts';
import { TarReader, type TarEntry } from './tar-reader.ts';

/** Reads an archive that anybody may have made, to find the folder in it that was the root of a volume. */
export class TarSurvey extends Writable {
  entries = 0;
  readonly #reader: TarReader;
  /** What all paths so far have in front alike, and what there is of that very path. */
  #common = '';
  #hasFolder = false;
  #hasOther = false;

  constructor() {
    super({ highWaterMark: 1024 * 1024 });
    this.#reader = new TarReader(
      {
        entry: (entry) => {
          this.#takeEntry(entry);
          return 'skip';
        },
        content: () => undefined,
        endBlock: () => undefined,
      },
      { foreign: true },
    );
  }

  /**
   * Empty where the root of the archive has an entry itself; else the folder whose entry everything else is in; else the
   * innermost folder that everything is in.
   */
  get root(): string {
    if (this.#hasFolder || !this.#hasOther) return this.#common;
    return this.#common.slice(0, Math.max(0, this.#common.lastIndexOf('/')));
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error) => void): void {
    try {
      this.#reader.read(chunk);
      done();
    } catch (error) {
      done(error as Error);
    }
  }

  override _final(done: (error?: Error) => void): void {
    try {
      this.#reader.end();
      done();
    } catch (error) {
      done(error as Error);
    }
  }

  #takeEntry(entry: TarEntry): void {
    const path = pathOf(entry.sparseName ?? entry.name);
    const common = this.entries === 0 ? path : commonFolder(this.#common, path);
    // An entry of a path further out, had there been one before, would have made it the common one then.
    if (common !== this.#common) {
      this.#common = common;
      this.#hasFolder = false;
      this.#hasOther = false;
    }
    if (path === common) {
      if (isFolder(entry)) this.#hasFolder = true;
      else this.#hasOther = true;
    }
    this.entries += 1;
  }
}
