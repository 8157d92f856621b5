import { createHmac } from 'node:crypto';

/** Azurite's built-in account; its key is public. */
const ACCOUNT = 'devstoreaccount1';
const ACCOUNT_KEY =
  'Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==';
const API_VERSION = '2020-10-02';
const CONTAINER = 'results';
const LIFETIME_MS = 60 * 60 * 1000;

const expiry = (): string =>
  new Date(Date.now() + LIFETIME_MS).toISOString().replace(/\.\d+Z$/, 'Z');

const sign = (fields: readonly string[]): string =>
  createHmac('sha256', Buffer.from(ACCOUNT_KEY, 'base64'))
    .update(fields.join('\n'), 'utf8')
    .digest('base64');

/** The path of a blob on Azurite, where the account is the first folder. */
export const blobPath = (blob: string): string => `/${ACCOUNT}/${CONTAINER}/${blob}`;

/** The same blob where the account is part of the host's name, as on Azure. */
export const hostedBlobPath = (blob: string): string => `/${CONTAINER}/${blob}`;

/** A path as on Azure, turned into Azurite's. */
export const fromHostedPath = (path: string): string => `/${ACCOUNT}${path}`;

/**
 * The query of a signed URL for one blob: a service SAS. `permissions` are Azure's letters (`r`, `cw`, `d`).
 * https://learn.microsoft.com/rest/api/storageservices/create-service-sas
 */
export function signBlob(blob: string, permissions: string, disposition = ''): string {
  const se = expiry();
  const resource = `/blob/${ACCOUNT}/${CONTAINER}/${blob}`;
  // In order: permissions, start, expiry, resource, identifier, ip, protocol, version, resource kind, snapshot,
  // and the five response headers that a URL may set.
  const head = [permissions, '', se, resource, '', '', '', API_VERSION, 'b', ''];
  const sig = sign([...head, '', disposition, '', '', '']);
  const query = new URLSearchParams({ sv: API_VERSION, sr: 'b', sp: permissions, se, sig });
  if (disposition !== '') query.set('rscd', disposition);
  return query.toString();
}

/** The path and query that create the container (PUT): an account SAS, as a service SAS cannot. */
export function containerPath(): string {
  const se = expiry();
  const sig = sign([ACCOUNT, 'c', 'b', 'c', '', se, '', '', API_VERSION, '']);
  const query = new URLSearchParams({ sv: API_VERSION, ss: 'b', srt: 'c', sp: 'c', se, sig });
  return `/${ACCOUNT}/${CONTAINER}?restype=container&${query.toString()}`;
}
