import { TwirpError, text, type Message, type Method } from './twirp.ts';

/** One uploaded artifact. */
export interface StoredArtifact {
  readonly id: number;
  readonly name: string;
  readonly sizeBytes: number;
  readonly digest: string;
  readonly createdAt: string;
  readonly expiresAt: string;
  readonly expired: boolean;
  readonly blob: string;
}

interface Stored extends StoredArtifact {
  readonly job: string;
  expired: boolean;
  sizeBytes: number;
  digest: string;
  finalized: boolean;
}

export interface ArtifactServiceParts {
  /** As the token names the run. */
  readonly runId: string;
  /** A number that is greater than all before, in whatever run. */
  readonly nextId: () => number;
  readonly signedUrl: (blob: string, permissions: 'r' | 'cw', disposition?: string) => string;
  readonly isReadOnly: () => boolean;
}

/** GitHub's artifact service for one run. */
export class ArtifactService {
  readonly #parts: ArtifactServiceParts;
  #stored: Stored[] = [];

  readonly methods: Readonly<Record<string, Method>> = {
    CreateArtifact: (request) => this.#create(request),
    FinalizeArtifact: (request) => this.#finalize(request),
    ListArtifacts: (request) => this.#list(request),
    GetSignedArtifactURL: (request) => this.#signedUrl(request),
    DeleteArtifact: (request) => this.#delete(request),
  };

  constructor(parts: ArtifactServiceParts) {
    this.#parts = parts;
  }

  /** Oldest first. */
  artifacts(): readonly StoredArtifact[] {
    return this.#stored
      .filter((artifact) => artifact.finalized)
      .map((artifact) => ({ ...artifact }));
  }

  /** Lists one more artifact, which has no bytes. */
  add(name: string): void {
    const now = new Date().toISOString();
    const id = this.#parts.nextId();
    const nothing = { blob: `none-${id}`, job: '', sizeBytes: 0, digest: '', expired: false };
    this.#stored.push({ ...nothing, id, name, createdAt: now, expiresAt: now, finalized: true });
  }

  /** Forgets an artifact, as happens when it is deleted or expires, and returns its blobs. */
  remove(name: string): readonly string[] {
    const gone = this.#stored.filter((artifact) => artifact.name === name);
    this.#stored = this.#stored.filter((artifact) => artifact.name !== name);
    return gone.map((artifact) => artifact.blob);
  }

  /** The name of an expired artifact is free, and its bytes are gone; GitHub's API still lists it. */
  expire(name: string): readonly string[] {
    const old = this.#stored.filter((artifact) => artifact.name === name);
    for (const artifact of old) artifact.expired = true;
    return old.map((artifact) => artifact.blob);
  }

  /** Where an artifact can be downloaded for a while; `undefined` when it cannot be any more. */
  downloadUrl({ id }: StoredArtifact): string | undefined {
    const artifact = this.#stored.find((one) => one.id === id && !one.expired);
    return artifact && this.#urlOf(artifact);
  }

  clear(): void {
    this.#stored = [];
  }

  #create(request: Message): Message {
    this.#requireRun(request);
    if (this.#parts.isReadOnly()) {
      throw new TwirpError(403, 'permission_denied', 'token has no write permission');
    }
    const name = text(request, 'name');
    if (name === '' || /[":<>|*?\r\n\\/]/.test(name)) {
      throw new TwirpError(400, 'invalid_argument', 'the artifact name is not valid');
    }
    // A name is taken from here on, even if its upload never ends.
    if (this.#stored.some((artifact) => artifact.name === name && !artifact.expired)) {
      throw new TwirpError(
        409,
        'already_exists',
        'an artifact with this name already exists on the workflow run',
      );
    }
    const id = this.#parts.nextId();
    const blob = `artifact-${id}`;
    this.#stored.push({
      id,
      name,
      blob,
      job: text(request, 'workflow_job_run_backend_id'),
      createdAt: new Date().toISOString(),
      expiresAt: text(request, 'expires_at'),
      sizeBytes: 0,
      digest: '',
      finalized: false,
      expired: false,
    });
    return { ok: true, signed_upload_url: this.#parts.signedUrl(blob, 'cw') };
  }

  #finalize(request: Message): Message {
    this.#requireRun(request);
    const name = text(request, 'name');
    const artifact = this.#stored.find((one) => one.name === name && !one.expired);
    if (artifact === undefined) throw new TwirpError(404, 'not_found', 'no such artifact');
    artifact.finalized = true;
    artifact.sizeBytes = Number(text(request, 'size'));
    artifact.digest = text(request, 'hash');
    return { ok: true, artifact_id: String(artifact.id) };
  }

  #list(request: Message): Message {
    this.#requireRun(request);
    const [name, id] = [text(request, 'name_filter'), text(request, 'id_filter')];
    const found = this.#stored.filter(
      (artifact) =>
        artifact.finalized &&
        !artifact.expired &&
        (name === '' || artifact.name === name) &&
        (id === '' || String(artifact.id) === id),
    );
    return {
      artifacts: found.map((artifact) => ({
        workflow_run_backend_id: this.#parts.runId,
        workflow_job_run_backend_id: artifact.job,
        database_id: String(artifact.id),
        name: artifact.name,
        size: String(artifact.sizeBytes),
        created_at: artifact.createdAt,
        digest: artifact.digest,
      })),
    };
  }

  #signedUrl(request: Message): Message {
    return { signed_url: this.#urlOf(this.#requireArtifact(request)) };
  }

  #urlOf({ name, blob }: Stored): string {
    const disposition = `attachment; filename="${name.replace(/[^\x20-\x7e]/g, '_')}.zip"`;
    return this.#parts.signedUrl(blob, 'r', disposition);
  }

  #delete(request: Message): Message {
    const { id, name } = this.#requireArtifact(request);
    this.remove(name);
    return { ok: true, artifact_id: String(id) };
  }

  #requireArtifact(request: Message): Stored {
    this.#requireRun(request);
    const name = text(request, 'name');
    const artifact = this.#stored.find((one) => one.name === name && one.finalized && !one.expired);
    if (artifact === undefined) throw new TwirpError(404, 'not_found', 'no such artifact');
    return artifact;
  }

  #requireRun(request: Message): void {
    if (text(request, 'workflow_run_backend_id') === this.#parts.runId) return;
    throw new TwirpError(403, 'permission_denied', 'the token is of another run');
  }
}
