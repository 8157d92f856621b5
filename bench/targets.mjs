import { median, ratio } from './pairs.mjs';

const at = (value, atLeast, what) => ({
  what,
  value,
  wanted: `≥ ${atLeast}`,
  holds: value >= atLeast,
});
const upTo = (value, atMost, what) => ({
  what,
  value,
  wanted: `≤ ${atMost}`,
  holds: value <= atMost,
});

/** What we want to be true, of the parts that were measured. */
export function targets({ copies = [], starts, resets, startUp }) {
  return [
    ...copies.flatMap(targetsOfCopies),
    ...growth(copies.filter(({ name }) => name.startsWith('size-'))),
    ...(starts ? targetsOfStarts(starts) : []),
    ...(resets ? targetsOfResets(resets) : []),
    ...(startUp ? targetsOfStartUp(startUp) : []),
  ];
}

function targetsOfCopies({ name, title, rows }) {
  const seconds = (way, operation) =>
    rows.find((row) => row.way === way && row.operation === operation)?.seconds;
  /** How many times as long as snapvol's pipe another way takes. */
  const times = (operation, way) => {
    const [ours, other] = [seconds('pipe', operation), seconds(way, operation)];
    return ours && other ? ratio(ours, other) : undefined;
  };
  const rssBytes = Math.max(...rows.flatMap(({ facts }) => facts.map((each) => each.rssBytes)));
  const found = [upTo(rssBytes / 1e6, 200, `${title}: memory of our process, MB`)];
  const slower = (operation, limit) => {
    const host = times(operation, 'host');
    if (host)
      found.push(upTo(1 / host, limit, `${title}: ${operation}, times the host's tar and zstd`));
  };
  /** As `start` copies: without what is worthless. */
  const faster = (operation, limit) => {
    const [ours, recipe] = [seconds('trimmed', operation), seconds('recipe', operation)];
    if (!ours || !recipe) return;
    const what = `${title}: ${operation}, times faster than the recipe`;
    found.push(at(ratio(ours, recipe), limit, what));
  };
  if (name.startsWith('postgres')) {
    faster('save', 8);
    slower('save', 1.25);
    faster('restore', 2);
    slower('restore', 1.15);
  }
  if (name.startsWith('files')) {
    slower('save', 1.3);
    slower('restore', 1.3);
  }
  return found;
}

/** From the middle size to the largest. The disk itself is slower for what the caches cannot hold: so is the host's way. */
function growth(sizes) {
  if (sizes.length < 2) return [];
  const [from, to] = sizes.toSorted((a, b) => a.diskBytes - b.diskBytes).slice(-2);
  return ['save', 'restore'].flatMap((operation) => {
    const grown = (way) => {
      const [few, many] = [from, to].map(({ rows, diskBytes }) => {
        const row = rows.find((each) => each.way === way && each.operation === operation);
        return row ? median(row.seconds) / diskBytes : NaN;
      });
      return many / few;
    };
    const what = `${operation}: time for each byte, ${to.title} against ${from.title}`;
    const value = grown('pipe') / grown('host');
    return Number.isNaN(value) ? [] : [upTo(value, 1.2, `${what}, times the host's`)];
  });
}

function targetsOfStarts({ rows, snapshotBytes }) {
  const of = (way) => rows.find((row) => row.way === way);
  const scratchBytes = Math.max(of('miss').scratchBytes, of('hit').scratchBytes);
  return [
    at(ratio(of('hit').seconds, of('seed').seconds), 3, 'seeding again, times a hit'),
    upTo(scratchBytes / snapshotBytes, 1.01, 'scratch disk, times the compressed size'),
  ];
}

function targetsOfResets({ sizes: [small, large], clones: [one, many] }) {
  const of = ({ rows }, way) => rows.find((row) => row.way === way).seconds;
  const server = of(large, 'server');
  const own = median(of(large, 'reset').map((seconds, round) => seconds - server[round]));
  const growth = ratio(of(small, 'reset'), of(large, 'reset'));
  const times = ratio(one.seconds, many.seconds);
  return [
    upTo(own, 1, `reset of ${large.title}: s, without the server's stop and start`),
    upTo(growth, 1.2, `the same, times that of scale ${small.scale}`),
    upTo(times, 3, `${many.count} clones, times the time of one`),
    upTo(one.untouchedBytes / 1e6, 5, 'disk of a clone that nobody has used, MB'),
  ];
}

function targetsOfStartUp({ rows }) {
  const of = (program) => rows.find(({ name }) => name === program);
  return [of('version'), of('action')].map(({ title, cpuMs }) =>
    upTo(ratio(of('node').cpuMs, cpuMs), 3, `${title}: times bare Node's CPU`),
  );
}
