import type { StartReport } from '../../src/usecases/report.ts';

/** A complete report of a hit, with overrides. */
export function makeReport(overrides: Partial<StartReport> = {}): StartReport {
  return {
    outcome: 'hit',
    missReason: undefined,
    key: 'k1',
    keyParts: [{ name: 'image', value: 'postgres:17' }],
    matchedKey: 'k1',
    store: 'file:/s',
    name: 'shop',
    engine: 'postgres',
    image: 'postgres:17',
    container: '0123456789abcdef',
    volume: 'v',
    endpoint: { host: '127.0.0.1', port: 5432, user: 'app', password: 'pass', database: 'shop' },
    url: 'postgresql://app:pass@127.0.0.1:5432/shop',
    snapshot: {
      ...{ digest: 'd', sizeBytes: 9_000_000, unpackedBytes: 65_000_000 },
      ...{ initSeconds: 3, seedSeconds: 12, largestTables: [{ name: 'item', bytes: 40_000_000 }] },
    },
    save: { kind: 'skipped', reason: 'it was restored' },
    phases: [
      { name: 'search', startSeconds: 0, seconds: 0.4, inVain: false },
      { name: 'image', startSeconds: 0, seconds: 0.3, inVain: false },
      { name: 'restore', startSeconds: 0.5, seconds: 1.3, inVain: false },
      { name: 'check', startSeconds: 1.8, seconds: 0, inVain: false },
    ],
    seconds: { search: 0.4, image: 0.3, restore: 1.3, check: 0, total: 2 },
    criticalPath: [
      { name: 'search', seconds: 0.4 },
      { name: 'restore', seconds: 1.3 },
      { name: 'other', seconds: 0.3 },
    ],
    clones: [],
    savings: { seedingSeconds: 15, savedSeconds: 13 },
    ...overrides,
  };
}

/** Texts that would be more than text in HTML, Markdown, a diagram, or a log. */
export const hostileText = [
  '\u202etxt.exe \u2028 \u0085 \u0000 \ud800 ::error::no',
  `<script>alert(1)</script><img src=x onerror=alert(1)>"'&lt;</code></td></table></details>`,
  '[a](https://evil.example) ![b](https://evil.example/b.png) https://evil.example @org/team #1',
  '```\n\n# heading\n\n| a | b |\n|---|---|\n\r\n  click search href "https://evil.example"\n```',
  '$x$ :tada: ${{ secrets.TOKEN }} %%{init: {}}%%; crit, done: 0, 1',
].join(' ');
