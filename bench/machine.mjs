import { cpus, release, totalmem } from 'node:os';

/** What the figures depend on. */
export async function describeMachine(world, { warm }) {
  const said = async (script, env) => (await world.run(script, env)).out;
  const engineRoot = await world.docker('info', '--format', '{{.DockerRootDir}}');
  return {
    processor: cpus()[0].model,
    cores: cpus().length,
    memoryBytes: totalmem(),
    disk: await said('df --output=source,fstype "$FOLDER" | tail -n 1 | tr -s " "', {
      FOLDER: engineRoot,
    }),
    kernel: release(),
    engine: await world.docker(
      'version',
      '--format',
      '{{.Server.Version}}, API {{.Server.APIVersion}}',
    ),
    node: process.version,
    zstd: await said('zstd --version | grep -o "v[0-9.]*" | head -n 1'),
    tar: await said('tar --version | head -n 1'),
    commit: await said('git rev-parse --short HEAD'),
    caches: warm ? 'as the runs before left them' : 'dropped before each run',
  };
}
