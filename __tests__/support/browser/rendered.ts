import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { access, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join, resolve } from 'node:path';
import { text } from 'node:stream/consumers';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** What a browser shows of one summary. */
export interface Rendered {
  readonly heading: string;
  /** Of the first table: header and cell. */
  readonly rows: Readonly<Record<string, string>>;
  readonly folded: readonly {
    readonly title: string;
    readonly open: boolean;
    readonly rows: readonly (readonly string[])[];
  }[];
  /** The label and the width of each, and `error` where the diagram is none. */
  readonly bars: readonly { readonly label: string; readonly width: number }[];
  readonly error: string;
  readonly links: readonly string[];
  /** What the summary may not bring along: elements by name, and attributes that run code. */
  readonly foreign: readonly string[];
}

/**
 * Job summaries as GitHub shows them: its own Markdown renderer (cmark-gfm), its diagrams (Mermaid), in Chromium, without a
 * network. GitHub takes scripts and the like out: here they stay, to be seen.
 * @param screenshot where to put a picture of all
 */
export async function renderSummaries(
  summaries: readonly string[],
  screenshot = process.env['SNAPVOL_SCREENSHOT'],
): Promise<readonly Rendered[]> {
  const dir = await mkdtemp(join(tmpdir(), 'snapvol-browser-'));
  try {
    const page = join(dir, 'page.html');
    const articles = await Promise.all(summaries.map(markdownToHtml));
    await writeFile(page, await pageOf(articles));
    const { stdout } = await run(
      await findBrowser(),
      [
        ...[
          '--headless',
          '--no-sandbox',
          '--disable-gpu',
          `--user-data-dir=${join(dir, 'profile')}`,
        ],
        ...['--host-resolver-rules=MAP * ~NOTFOUND', '--virtual-time-budget=20000'],
        ...['--window-size=1000,2600', ...(screenshot ? [`--screenshot=${screenshot}`] : [])],
        ...['--dump-dom', pathToFileURL(page).href],
      ],
      { maxBuffer: 64 * 1024 * 1024, timeout: 60_000 },
    );
    const facts = /<pre id="facts"[^>]*>([^<]+)/.exec(stdout)?.[1];
    if (facts === undefined)
      throw new Error(`the page did not get ready: ${stdout.slice(0, 2000)}`);
    // A cast: what the page's own script below has written.
    return JSON.parse(Buffer.from(facts, 'base64').toString()) as Rendered[];
  } finally {
    await rm(dir, { recursive: true, force: true, maxRetries: 5 });
  }
}

const extensions = ['table', 'autolink', 'strikethrough', 'tagfilter', 'tasklist'];

async function markdownToHtml(markdown: string): Promise<string> {
  const names = extensions.flatMap((name) => ['--extension', name]);
  const child = spawn('cmark-gfm', ['--unsafe', '--github-pre-lang', ...names], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const closed = once(child, 'close');
  child.stdin.end(markdown);
  const html = await text(child.stdout);
  const [exitCode] = (await closed) as [number | null];
  if (exitCode !== 0) throw new Error(`cmark-gfm ended with ${exitCode}`);
  return html;
}

async function findBrowser(): Promise<string> {
  const names = ['chromium', 'chromium-browser', 'google-chrome'];
  const dirs = (process.env['PATH'] ?? '').split(delimiter);
  for (const path of names.flatMap((name) => dirs.map((dir) => join(dir, name)))) {
    if (
      await access(path).then(
        () => true,
        () => false,
      )
    )
      return path;
  }
  throw new Error('there is no Chromium: script/bootstrap --browser installs it');
}

async function pageOf(articles: readonly string[]): Promise<string> {
  const folder = resolve(import.meta.dirname);
  const mermaid = resolve(folder, '../../../node_modules/@mermaid-js/tiny/dist/mermaid.tiny.js');
  const [style, script] = await Promise.all(
    ['page.css', 'page.mjs'].map((file) => readFile(join(folder, file), 'utf8')),
  );
  return `<!doctype html><meta charset="utf-8"><style>${style ?? ''}</style>
${articles.map((html) => `<article>${html}</article>`).join('\n')}
<script src="${pathToFileURL(mermaid).href}"></script>
<script type="module">${script ?? ''}</script>`;
}
