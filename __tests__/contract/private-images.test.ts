import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';

import { connectEngine } from '../support/connect-engine.ts';
import { dockerLogin } from '../support/docker-cli.ts';
import { testImage } from '../support/images.ts';
import { createRecordingLog } from '../support/recording-log.ts';
import { reader, startRegistry, type Registry } from '../support/registry.ts';

const cleanup = new AsyncDisposableStack();
const folder = (): string => {
  const dir = mkdtempSync(join(tmpdir(), 'snapvol-docker-'));
  cleanup.defer(() => {
    rmSync(dir, { recursive: true });
  });
  return dir;
};

let registry: Registry;
let loggedIn: string;
let image: string;
beforeAll(async () => {
  registry = cleanup.use(await startRegistry({ login: true }));
  loggedIn = folder();
  await dockerLogin(loggedIn, registry.host, reader);
  image = await registry.push(testImage('no-tar'), 'team/no-tar:1', loggedIn);
});
afterAll(() => cleanup.disposeAsync());

/** Pulls it as a user with this folder of the docker client. */
async function pullWith(DOCKER_CONFIG: string, env: Readonly<Record<string, string>> = {}) {
  const masked: string[] = [];
  const log = { ...createRecordingLog(), mask: (secret: string) => void masked.push(secret) };
  const { DOCKER_HOST, PATH } = process.env;
  const runtime = connectEngine({ DOCKER_HOST, PATH, ...env, DOCKER_CONFIG }, undefined, log);
  try {
    const { digest } = await runtime.ensureImage(image);
    return { digest, masked, lines: log.lines };
  } finally {
    await runtime.removeImage(image);
  }
}

describe('an image of a registry that wants a login', () => {
  const pulled = {
    digest: expect.stringMatching(/^sha256:/),
    masked: [reader.password],
    lines: [],
  };

  test('is refused without one', async () => {
    await expect(pullWith(folder())).rejects.toMatchObject({
      code: 'image-unavailable',
      message: expect.stringContaining(`could not pull the image ${image}`),
      hint: expect.stringContaining(`run "docker login ${registry.host}"`),
    });
  });

  test('is pulled with the one that "docker login" has left', async () => {
    expect(await pullWith(loggedIn)).toEqual(pulled);
  });

  test('is pulled with the one of a credential helper', async () => {
    const [config, bin] = [folder(), folder()];
    const program = join(bin, 'docker-credential-snapvol');
    const { username: Username, password: Secret } = reader;
    const answer = JSON.stringify({ ServerURL: registry.host, Username, Secret });
    writeFileSync(
      program,
      `#!/bin/sh\n[ "$1 $(cat)" = "get ${registry.host}" ] && echo '${answer}'\n`,
    );
    chmodSync(program, 0o755);
    writeFileSync(join(config, 'config.json'), '{"credsStore":"snapvol"}');
    expect(await pullWith(config, { PATH: `${bin}:${process.env['PATH']}` })).toEqual(pulled);
  });

  test('is refused with one that is wrong, and the hint knows that', async () => {
    const config = folder();
    const auth = Buffer.from('reader:wrong').toString('base64');
    writeFileSync(
      join(config, 'config.json'),
      JSON.stringify({ auths: { [registry.host]: { auth } } }),
    );
    await expect(pullWith(config)).rejects.toMatchObject({
      code: 'image-unavailable',
      hint: expect.stringContaining(`the login for ${registry.host} is still good`),
    });
  });
});
