import { AppError } from '../errors.ts';
import type { Credentials, Engine } from './engine.ts';

/** What the user tells of an image that snapvol does not know. */
export interface GenericOptions {
  readonly dataPath: string | undefined;
  readonly port: number | undefined;
  /** Shell command that exits 0 inside the container when the database truly serves. */
  readonly readyCommand: string;
  /** With `{host}`, `{port}`, `{user}`, `{password}` and `{database}`. */
  readonly url: string | undefined;
}

const none: Credentials = { user: '', password: '', database: '' };

/** Any image. Its clean stop is its exit code; it has no mark of its own that we could read. */
export function genericEngine(options: GenericOptions): Engine {
  return {
    id: 'generic',
    imageNames: [],
    defaultImage: undefined,
    defaults: none,

    port(image) {
      const [only, ...others] = image.ports;
      const port = options.port ?? (others.length === 0 ? only : undefined);
      if (port !== undefined) return port;
      throw new AppError(
        'invalid-settings',
        `the image ${image.reference} exposes ${image.ports.length} ports, which one is the database's?`,
        { hint: 'Set "container-port"' },
      );
    },

    location(image) {
      const [only, ...others] = image.volumes;
      const dataPath = options.dataPath ?? (others.length === 0 ? only : undefined);
      if (dataPath !== undefined) return { mountPath: dataPath, dataPath };
      throw new AppError(
        'invalid-settings',
        `the image ${image.reference} declares ${image.volumes.length} volumes, where is its data?`,
        { hint: 'Set "data-path"' },
      );
    },

    containerEnv: () => ({}),
    relaxedArgs: [],
    initPath: undefined,
    readiness: () => ({ command: ['sh', '-c', options.readyCommand], env: {} }),

    url(endpoint) {
      const template = options.url ?? '{host}:{port}';
      return template.replaceAll(
        /\{(host|port|user|password|database)\}/g,
        (_, name: keyof typeof endpoint) =>
          name === 'host' || name === 'port'
            ? String(endpoint[name])
            : encodeURIComponent(endpoint[name]),
      );
    },

    clientEnv: () => ({}),

    async dataState() {
      return Promise.resolve({ version: null, mark: 'exit code only' });
    },

    imageVersion: () => undefined,
  };
}
