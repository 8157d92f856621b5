import { median, ratio } from './pairs.mjs';
import { megabytes, number, range, table } from './report-table.mjs';

/** Of several sizes side by side; ratios to `snapvol reset` on an overlay. */
export function describeResets({ sizes, clones }) {
  const cells = ({ rows }, at) => {
    const [{ seconds }, { seconds: ours }] = [rows[at], rows.find(({ way }) => way === 'reset')];
    return [number(median(seconds)), range(seconds), number(ratio(ours, seconds))];
  };
  const head = sizes.flatMap(({ goldenBytes }) => [
    ...[`${megabytes(goldenBytes)}: median s`, 'min–max s', 'times a reset'],
  ]);
  return [
    ...['', `## Back to a database that was not written to: ${titlesOf(sizes)}`, ''],
    ...['Caches are left as they are.', ''],
    ...table(
      ['', ...head],
      sizes[0].rows.map(({ title }, at) => [title, ...sizes.flatMap((size) => cells(size, at))]),
    ),
    ...['', '## Clones of the larger one', ''],
    ...table(
      [
        'clones',
        'median s',
        'min–max s',
        'times the first',
        'disk of one, at most',
        'after "select 1"',
      ],
      clones.map(({ count, seconds, untouchedBytes, connectedBytes }) => [
        ...[
          count,
          number(median(seconds)),
          range(seconds),
          number(ratio(clones[0].seconds, seconds)),
        ],
        ...[megabytes(untouchedBytes), megabytes(connectedBytes)],
      ]),
    ),
    ...sizes.flatMap(describeUses),
  ];
}

const titlesOf = (sizes) => sizes.map(({ title }) => title).join(' and ');

/** The same statements on an overlay and on a copy. */
function describeUses({ title, uses: [overlay, copy] }) {
  return [
    ...['', `## First use after a reset: ${title}`, ''],
    ...table(
      ['', 'overlay, ms', 'min–max', 'its layer then', 'copy, ms', 'min–max'],
      overlay.rows.map(({ title: statement, seconds }, at) => [
        ...[statement, ...milliseconds(seconds), megabytes(overlay.bytes[at])],
        ...milliseconds(copy.rows[at].seconds),
      ]),
    ),
  ];
}

function milliseconds(seconds) {
  const ms = seconds.map((each) => each * 1000);
  return [number(median(ms)), range(ms)];
}
