/**
 * What a client can ask of the service: the Twirp methods by name, blobs by what is done to them, and the REST API by
 * its operations.
 */
export type Endpoint =
  | 'CreateCacheEntry'
  | 'FinalizeCacheEntryUpload'
  | 'GetCacheEntryDownloadURL'
  | 'CreateArtifact'
  | 'FinalizeArtifact'
  | 'ListArtifacts'
  | 'GetSignedArtifactURL'
  | 'DeleteArtifact'
  | 'upload'
  | 'download'
  | RestEndpoint;

export type RestEndpoint =
  'rest:list-runs' | 'rest:list-run-artifacts' | 'rest:list-artifacts' | 'rest:download-artifact';

export type Fault =
  /** Answers with this status. A 429 may carry `retry-after`; the REST API also other headers. */
  | {
      readonly kind: 'status';
      readonly status: number;
      readonly retryAfterSeconds?: number;
      readonly headers?: Readonly<Record<string, string>>;
    }
  /** Ends the connection without an answer. */
  | { readonly kind: 'reset' }
  /** Carries the request out, then ends the connection without an answer. Twirp methods only. */
  | { readonly kind: 'lost-answer' }
  /** Promises the whole blob and ends the connection after so many bytes. Downloads only. */
  | { readonly kind: 'cut'; readonly afterBytes: number }
  /** Promises the whole blob, and after so many bytes waits until it is released. Downloads only. */
  | {
      readonly kind: 'stall';
      readonly afterBytes: number;
      readonly onStall: () => void;
      readonly released: Promise<void>;
    }
  /** Delivers only the first bytes and calls that the whole blob. Downloads and the REST API only. */
  | { readonly kind: 'shorten'; readonly toBytes: number }
  /** Turns one bit of the byte at this offset of the blob. Downloads only. */
  | { readonly kind: 'flip'; readonly offset: number }
  /** Says that a list is this long, whatever is in it. The REST API only. */
  | { readonly kind: 'total'; readonly count: number }
  /** Waits until it is released, then answers as usual. */
  | { readonly kind: 'hold' };

/** Faults of a body; what has none cannot suffer them. */
const bodyFaults: ReadonlySet<Fault['kind']> = new Set(['cut', 'stall', 'shorten', 'flip']);

/** Something to wait for and to let go: a request that the service holds back. */
export interface Hold {
  /** Resolves when the first request has come in. */
  readonly reached: Promise<void>;
  release(): void;
}

/** One request as the service saw it. `fault` is what was done to it. */
export interface RecordedRequest {
  readonly endpoint: Endpoint;
  readonly method: string;
  readonly fault: Fault['kind'] | undefined;
}

interface Planned {
  readonly endpoint: Endpoint;
  readonly fault: Fault;
  timesLeft: number;
  readonly hold?: { readonly reach: () => void; readonly released: Promise<void> };
}

/** The faults that tests have asked for, and every request that came. */
export class Faults {
  /** While true, the token of the run may read only, and creating is refused as GitHub refuses it. */
  readOnlyToken = false;
  readonly #planned: Planned[] = [];
  readonly #requests: RecordedRequest[] = [];

  get requests(): readonly RecordedRequest[] {
    return this.#requests;
  }

  /** The next `times` requests of `endpoint` suffer `fault`. Faults of one endpoint come in the order given. */
  next(endpoint: Endpoint, fault: Exclude<Fault, { kind: 'hold' | 'stall' }>, times = 1): void {
    this.#planned.push({ endpoint, fault, timesLeft: times });
  }

  /** The next request of `endpoint` is held back until the test lets it go. */
  hold(endpoint: Endpoint): Hold {
    const { hold, reach, released } = newHold();
    const fault = { kind: 'hold' } as const;
    this.#planned.push({ endpoint, fault, timesLeft: 1, hold: { reach, released } });
    return hold;
  }

  /** The next download stops after so many bytes until the test lets it go on; then it has been reached. */
  stallDownload(afterBytes: number): Hold {
    const { hold, reach, released } = newHold();
    const fault = { kind: 'stall', afterBytes, onStall: reach, released } as const;
    this.#planned.push({ endpoint: 'download', fault, timesLeft: 1 });
    return hold;
  }

  /** How many requests of `endpoint` were hit by a fault of this kind. */
  hits(endpoint: Endpoint, kind: Fault['kind']): number {
    return this.#requests.filter((r) => r.endpoint === endpoint && r.fault === kind).length;
  }

  /** Forgets every plan and record. */
  clear(): void {
    this.#planned.length = 0;
    this.#requests.length = 0;
    this.readOnlyToken = false;
  }

  /** For the service: records the request, sits out a hold, and says which fault it must suffer. */
  async take(endpoint: Endpoint, method: string): Promise<Fault | undefined> {
    const planned = this.#planned.find(
      (p) =>
        p.endpoint === endpoint &&
        p.timesLeft > 0 &&
        (method !== 'HEAD' || !bodyFaults.has(p.fault.kind)),
    );
    this.#requests.push({ endpoint, method, fault: planned?.fault.kind });
    if (planned === undefined) return undefined;
    planned.timesLeft -= 1;
    if (planned.hold === undefined) return planned.fault;
    planned.hold.reach();
    await planned.hold.released;
    return undefined;
  }
}

function newHold() {
  const reached = Promise.withResolvers<undefined>();
  const released = Promise.withResolvers<undefined>();
  const release = (): void => {
    released.resolve(undefined);
  };
  const reach = (): void => {
    reached.resolve(undefined);
  };
  return { hold: { reached: reached.promise, release }, reach, released: released.promise };
}
