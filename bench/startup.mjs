/** The least that a program does which asks the engine something, and makes keys: parts of Node.js that load slowly. */
const leastProgram = `import "node:crypto"; import "node:child_process"; import { request } from "node:http";
request({ socketPath: process.env.DOCKER_HOST.slice(7) }).on("error", (error) => console.log(error.code)).end()`;

/** Programs that only start, as bash scripts: the processor time that each takes. */
const programs = [
  { name: 'node', title: 'node -e 0', script: '"$NODE" -e 0' },
  {
    name: 'least',
    title: "Node's own HTTP client, until it finds no engine",
    script: `"$NODE" --input-type=module --eval '${leastProgram}'`,
  },
  { name: 'version', title: 'snapvol --version', script: '"$NODE" dist/cli.js --version' },
  {
    name: 'action',
    title: 'the action, until it finds no engine',
    // Whatever else it fails with would be quicker.
    script: 'said=$("$NODE" dist/main.js || true); [[ $said == *"no container engine answers"* ]]',
  },
];
const startsPerRun = 10;

export async function measureStartUp(world, { pairs, say }) {
  const env = {
    ...{ NODE: process.execPath, DOCKER_HOST: 'unix:///nonexistent', RUNNER_TEMP: world.scratch },
    ...{ INPUT_IMAGE: 'postgres:17', INPUT_STORE: `file:${world.scratch}/none` },
    ...{ GITHUB_WORKSPACE: world.scratch, GITHUB_STATE: '', GITHUB_OUTPUT: '' },
  };
  const rows = programs.map(({ name, title }) => ({ name, title, cpuMs: [] }));
  for (let round = 1; round <= pairs; round += 1) {
    for (const [i, { name, script }] of programs.entries()) {
      const loop = `for ((i = 0; i < ${startsPerRun}; i++)); do ${script}; done >"$RUNNER_TEMP/said"`;
      // Of the shell itself, then of its children.
      const { out } = await world.run(`${loop}; times`, env);
      const cpuMs = (secondsOf(out.split('\n')[1]) * 1000) / startsPerRun;
      rows[i].cpuMs.push(cpuMs);
      say(`start-up ${name} ${round}: ${cpuMs.toFixed(1)} ms`);
    }
  }
  return { rows };
}

/** Of "0m1.250s 0m0.250s": user and system together. */
function secondsOf(line) {
  const times = [...line.matchAll(/(\d+)m([\d.]+)s/g)];
  return times.reduce((sum, [, minutes, seconds]) => sum + 60 * minutes + Number(seconds), 0);
}
