import { Transform, type TransformCallback } from 'node:stream';

import { TarSieve, type TarSieveOptions, type TarSummary } from './tar-sieve.ts';

export interface TarFilterOptions extends TarSieveOptions {
  /** Called with the number of bytes read so far; what it throws breaks the stream. */
  readonly onBytes?: ((bytes: number) => void) | undefined;
}

/** A {@link TarSieve} as a stream. */
export class TarFilter extends Transform {
  readonly #sieve: TarSieve;
  readonly #onBytes: ((bytes: number) => void) | undefined;

  constructor({ onBytes, ...options }: TarFilterOptions = {}) {
    super({ highWaterMark: 1024 * 1024 });
    this.#sieve = new TarSieve(options);
    this.#onBytes = onBytes;
  }

  get inputBytes(): number {
    return this.#sieve.inputBytes;
  }

  get root(): readonly Buffer[] {
    return this.#sieve.root;
  }

  /** Complete when the stream has ended. */
  get summary(): TarSummary {
    return this.#sieve.summary;
  }

  override _transform(chunk: Buffer, _encoding: BufferEncoding, done: TransformCallback): void {
    try {
      this.#onBytes?.(this.inputBytes + chunk.length);
      for (const part of this.#sieve.take(chunk)) this.push(part);
      done();
    } catch (error) {
      done(error as Error);
    }
  }

  override _flush(done: TransformCallback): void {
    try {
      this.#sieve.end();
      done();
    } catch (error) {
      done(error as Error);
    }
  }
}
