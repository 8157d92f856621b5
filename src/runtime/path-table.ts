import { hash, randomBytes } from 'node:crypto';

const firstSlots = 1024;

/**
 * Which paths were seen, with a small number for each: nine bytes for two slots, however long paths are, so that an
 * archive of millions of entries fits in memory. Two paths are taken for one with a probability of n²/2^65, for n paths.
 */
export class PathTable {
  /** Unknown to who makes an archive, or its paths could be chosen to fall into the same slots. */
  readonly #secret = randomBytes(16).toString('latin1');
  #high = new Uint32Array(firstSlots);
  #low = new Uint32Array(firstSlots);
  /** 0 for a free slot. */
  #values = new Uint8Array(firstSlots);
  #size = 0;

  get size(): number {
    return this.#size;
  }

  get(path: string): number | undefined {
    const [high, low] = this.#hash(path);
    return this.#values[this.#slot(high, low)] || undefined;
  }

  /** The value of the path from now on: `value`, from 1 to 255, unless it has one already. */
  add(path: string, value: number): number {
    const [high, low] = this.#hash(path);
    const slot = this.#slot(high, low);
    const before = this.#values[slot] ?? 0;
    if (before !== 0) return before;
    this.#put(slot, high, low, value);
    this.#size += 1;
    if (this.#size * 2 > this.#values.length) this.#grow();
    return value;
  }

  #put(slot: number, high: number, low: number, value: number): void {
    this.#high[slot] = high;
    this.#low[slot] = low;
    this.#values[slot] = value;
  }

  /** Where it is, or where it would be put. There is always a free slot. */
  #slot(high: number, low: number): number {
    const mask = this.#values.length - 1;
    let slot = low & mask;
    while (this.#values[slot] !== 0 && (this.#high[slot] !== high || this.#low[slot] !== low)) {
      slot = (slot + 1) & mask;
    }
    return slot;
  }

  #grow(): void {
    const [high, low, values] = [this.#high, this.#low, this.#values];
    const slots = values.length * 2;
    this.#high = new Uint32Array(slots);
    this.#low = new Uint32Array(slots);
    this.#values = new Uint8Array(slots);
    for (const [at, value] of values.entries()) {
      const [h, l] = [high[at] ?? 0, low[at] ?? 0];
      if (value !== 0) this.#put(this.#slot(h, l), h, l, value);
    }
  }

  #hash(path: string): readonly [number, number] {
    const digest = hash('sha1', this.#secret + path, 'buffer');
    return [digest.readUInt32LE(0), digest.readUInt32LE(4)];
  }
}
