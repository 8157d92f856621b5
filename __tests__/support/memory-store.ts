import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { AppError } from '../../src/errors.ts';
import type {
  Entry,
  Found,
  ListableStore,
  Lookup,
  ReplaceableStore,
  SnapshotStore,
} from '../../src/stores/store.ts';

interface Snapshot {
  readonly files: ReadonlyMap<string, Buffer>;
  readonly createdAtMs: number;
  /** Counts the saves: no two are equally new. */
  readonly order: number;
}

type Verb = 'find' | 'load' | 'save' | 'replace' | 'list' | 'readFile' | 'remove';

/** What stores in memory keep. Two of them on one of these are two processes with one storage. */
export type MemoryStorage = Map<string, Snapshot>;

/** A store in memory for tests of what uses a store, with faults to order. */
export class MemoryStore implements ListableStore, ReplaceableStore {
  readonly name = 'memory';
  /** Every call so far, oldest first: `save app-1`. */
  readonly calls: string[] = [];
  readonly storage: MemoryStorage;
  readonly #now: () => number;
  readonly #faults: { readonly verb: Verb; readonly error: Error }[] = [];

  constructor(storage: MemoryStorage = new Map(), now: () => number = Date.now) {
    this.storage = storage;
    this.#now = now;
  }

  /** The next call of `verb` that has no fault before it rejects with `error`. Several of one verb queue up. */
  failNext(verb: Verb, error: Error): void {
    this.#faults.push({ verb, error });
  }

  /** Flips one bit of a stored file, as a bad disk or line does. */
  damage(key: string, fileName: string, offset = 0): void {
    const snapshot = this.#snapshot(key);
    const bytes = Buffer.from(snapshot.files.get(fileName) ?? Buffer.alloc(0));
    const byte = bytes[offset];
    if (byte === undefined) throw new Error(`${key} has no ${fileName} with a byte ${offset}`);
    bytes[offset] = byte ^ 1;
    this.#alter(key, new Map(snapshot.files).set(fileName, bytes));
  }

  /** Cuts a stored file, as an interrupted download does. */
  truncate(key: string, fileName: string, sizeBytes: number): void {
    const snapshot = this.#snapshot(key);
    const bytes = snapshot.files.get(fileName)?.subarray(0, sizeBytes);
    if (bytes === undefined) throw new Error(`${key} has no ${fileName}`);
    this.#alter(key, new Map(snapshot.files).set(fileName, bytes));
  }

  /** Takes a snapshot away, as the owner of the storage may at any time. */
  evict(key: string): void {
    if (!this.storage.delete(key)) throw new Error(`there is no ${key} to evict`);
  }

  async find({ primary, prefixes }: Lookup, signal: AbortSignal): Promise<Found | undefined> {
    await this.#begin('find', primary, signal);
    if (this.storage.has(primary)) return { key: primary, exact: true };
    for (const prefix of prefixes) {
      const match = this.#newestFirst().find(([key]) => key.startsWith(prefix));
      if (match) return { key: match[0], exact: false };
    }
    return undefined;
  }

  async load({ key }: Found, bundleDir: string, signal: AbortSignal): Promise<boolean> {
    await this.#begin('load', key, signal);
    const snapshot = this.storage.get(key);
    if (snapshot === undefined) return false;
    for (const [name, bytes] of snapshot.files) {
      await writeFile(join(bundleDir, name), bytes, { flag: 'wx' });
      stopIfAborted(signal);
    }
    return true;
  }

  async save(
    key: string,
    bundleDir: string,
    signal: AbortSignal,
  ): Promise<'saved' | 'already-there'> {
    await this.#begin('save', key, signal);
    const files = await readFiles(bundleDir, signal);
    // No other save can come in between here: whoever is first to put the whole snapshot wins.
    if (this.storage.has(key)) return 'already-there';
    this.#put(key, files);
    return 'saved';
  }

  async replace(key: string, bundleDir: string, signal: AbortSignal): Promise<void> {
    await this.#begin('replace', key, signal);
    this.#put(key, await readFiles(bundleDir, signal));
  }

  async list(signal: AbortSignal): Promise<readonly Entry[]> {
    await this.#begin('list', '', signal);
    return this.#newestFirst().map(([key, { files, createdAtMs }]) => ({
      key,
      sizeBytes: [...files.values()].reduce((sum, bytes) => sum + bytes.length, 0),
      createdAtMs,
    }));
  }

  async readFile(key: string, fileName: string, signal: AbortSignal): Promise<Buffer | undefined> {
    await this.#begin('readFile', `${key} ${fileName}`, signal);
    const bytes = this.storage.get(key)?.files.get(fileName);
    return bytes && Buffer.from(bytes);
  }

  async remove(key: string, signal: AbortSignal): Promise<boolean> {
    await this.#begin('remove', key, signal);
    return this.storage.delete(key);
  }

  /** What every call does first. Asynchronous, so that faults and aborts are rejections. */
  #begin(verb: Verb, what: string, signal: AbortSignal): Promise<void> {
    this.calls.push(`${verb} ${what}`.trimEnd());
    return Promise.resolve().then(() => {
      stopIfAborted(signal);
      const index = this.#faults.findIndex((fault) => fault.verb === verb);
      const [fault] = index < 0 ? [] : this.#faults.splice(index, 1);
      if (fault) throw fault.error;
    });
  }

  #newestFirst(): [string, Snapshot][] {
    return [...this.storage].sort(([, a], [, b]) => b.order - a.order);
  }

  #snapshot(key: string): Snapshot {
    const snapshot = this.storage.get(key);
    if (snapshot === undefined) throw new Error(`there is no snapshot ${key}`);
    return snapshot;
  }

  #put(key: string, files: ReadonlyMap<string, Buffer>): void {
    this.storage.set(key, { files, createdAtMs: this.#now(), order: nextOrder(this.storage) });
  }

  #alter(key: string, files: ReadonlyMap<string, Buffer>): void {
    this.storage.set(key, { ...this.#snapshot(key), files });
  }
}

/** The same store, with only what every store can do. */
export function plainStore(store: SnapshotStore): SnapshotStore {
  return {
    name: 'plain',
    find: (lookup, signal) => store.find(lookup, signal),
    load: (found, dir, signal) => store.load(found, dir, signal),
    save: (key, dir, signal) => store.save(key, dir, signal),
  };
}

async function readFiles(dir: string, signal: AbortSignal): Promise<ReadonlyMap<string, Buffer>> {
  const files = new Map<string, Buffer>();
  for (const name of await readdir(dir)) {
    files.set(name, await readFile(join(dir, name)));
    stopIfAborted(signal);
  }
  return files;
}

function nextOrder(storage: MemoryStorage): number {
  return 1 + Math.max(0, ...[...storage.values()].map(({ order }) => order));
}

function stopIfAborted(signal: AbortSignal): void {
  if (signal.aborted) throw new AppError('cancelled', 'cancelled', { cause: signal.reason });
}
