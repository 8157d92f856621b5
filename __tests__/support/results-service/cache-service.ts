import { TwirpError, text, texts, type Message, type Method } from './twirp.ts';

/** One saved cache entry. */
export interface CacheEntry {
  readonly key: string;
  readonly version: string;
  readonly sizeBytes: number;
  readonly blob: string;
}

interface Stored extends CacheEntry {
  readonly id: number;
  sizeBytes: number;
  finalized: boolean;
}

export interface CacheServiceParts {
  /** A signed URL for the blob of an entry. */
  readonly signedUrl: (blob: string, permissions: 'r' | 'cw') => string;
  readonly isReadOnly: () => boolean;
}

/** GitHub's cache service, version 2, for one repository and one branch. */
export class CacheService {
  readonly #parts: CacheServiceParts;
  #stored: Stored[] = [];
  #lastId = 0;

  readonly methods: Readonly<Record<string, Method>> = {
    CreateCacheEntry: (request) => this.#create(request),
    FinalizeCacheEntryUpload: (request) => this.#finalize(request),
    GetCacheEntryDownloadURL: (request) => this.#find(request),
  };

  constructor(parts: CacheServiceParts) {
    this.#parts = parts;
  }

  /** Oldest first. */
  entries(): readonly CacheEntry[] {
    return this.#stored.filter((entry) => entry.finalized).map((entry) => ({ ...entry }));
  }

  /** Forgets the entries of `key`, as GitHub does when space runs out, and returns their blobs. */
  evict(key: string): readonly string[] {
    const gone = this.#stored.filter((entry) => entry.key === key);
    this.#stored = this.#stored.filter((entry) => entry.key !== key);
    return gone.map((entry) => entry.blob);
  }

  /** Saves what `from` holds under another key, too: another job did so. */
  copy(from: string, to: string): void {
    const entry = this.#stored.find((one) => one.key === from && one.finalized);
    if (entry === undefined) throw new Error(`no entry ${from}`);
    this.#lastId += 1;
    this.#stored.push({ ...entry, id: this.#lastId, key: to });
  }

  clear(): void {
    this.#stored = [];
  }

  #create(request: Message): Message {
    if (this.#parts.isReadOnly()) {
      // Not a status of its own: this is how the service refuses a token that may only read.
      return { ok: false, message: 'cache write denied: token has no writable scopes' };
    }
    const { key, version } = identity(request);
    if (this.#stored.some((entry) => entry.key === key && entry.version === version)) {
      throw new TwirpError(
        409,
        'already_exists',
        'cache entry with the same key, version, and scope already exists',
      );
    }
    this.#lastId += 1;
    const blob = `cache-${this.#lastId}`;
    this.#stored.push({ id: this.#lastId, key, version, blob, sizeBytes: 0, finalized: false });
    return { ok: true, signed_upload_url: this.#parts.signedUrl(blob, 'cw') };
  }

  #finalize(request: Message): Message {
    const { key, version } = identity(request);
    const entry = this.#stored.find((one) => one.key === key && one.version === version);
    if (entry === undefined) throw new TwirpError(404, 'not_found', 'no such reservation');
    entry.finalized = true;
    entry.sizeBytes = Number(text(request, 'size_bytes'));
    return { ok: true, entry_id: String(entry.id) };
  }

  #find(request: Message): Message {
    const { key, version } = identity(request);
    const readable = this.#stored
      .filter((entry) => entry.finalized && entry.version === version)
      .toReversed();
    // The primary key and every restore key are tried in turn: to the letter, then as a prefix, newest first.
    for (const wanted of [key, ...texts(request, 'restore_keys')]) {
      const found =
        readable.find((entry) => entry.key === wanted) ??
        readable.find((entry) => entry.key.startsWith(wanted));
      if (found === undefined) continue;
      const url = this.#parts.signedUrl(found.blob, 'r');
      return { ok: true, signed_download_url: url, matched_key: found.key };
    }
    return { ok: false, signed_download_url: '', matched_key: '' };
  }
}

function identity(request: Message): { key: string; version: string } {
  const [key, version] = [text(request, 'key'), text(request, 'version')];
  if (key === '' || version === '') {
    throw new TwirpError(400, 'invalid_argument', 'key and version are required');
  }
  return { key, version };
}
