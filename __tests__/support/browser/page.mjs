// Runs in the browser: draws the diagrams as GitHub does, and notes what each article shows for rendered.ts to read.
/* global document, mermaid, btoa, TextEncoder */

mermaid.initialize({ startOnLoad: false, securityLevel: 'strict' });

/** All that our markup consists of. */
const known = new Set('h3 table tbody tr th td code details summary a br pre'.split(' '));

const facts = [];
for (const [i, article] of [...document.querySelectorAll('article')].entries()) {
  facts.push({ ...look(article), ...(await draw(article, `chart-${i}`)) });
}
const bytes = new TextEncoder().encode(JSON.stringify(facts));
const pre = document.createElement('pre');
pre.id = 'facts';
pre.hidden = true;
pre.textContent = btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(''));
document.body.append(pre);

async function draw(article, id) {
  const fence = article.querySelector('pre[lang=mermaid]');
  if (fence === null) return { bars: [], error: '' };
  try {
    const { svg } = await mermaid.render(id, fence.textContent);
    const chart = document.createElement('div');
    chart.innerHTML = svg;
    fence.replaceWith(chart);
    const labels = [...chart.querySelectorAll('text[class*=taskText]')];
    const bars = [...chart.querySelectorAll('rect.task')].map((bar, at) => ({
      label: labels[at]?.textContent ?? '',
      width: bar.getBBox().width,
    }));
    return { bars, error: chart.textContent.includes('Syntax error') ? 'Syntax error' : '' };
  } catch (error) {
    return { bars: [], error: String(error) };
  }
}

function look(article) {
  const all = [...article.querySelectorAll('*')];
  const rowsOf = (element) =>
    [...(element?.querySelectorAll('tr') ?? [])].map((row) =>
      [...row.children].map((cell) => cell.textContent),
    );
  return {
    heading: article.querySelector('h3')?.textContent ?? '',
    rows: Object.fromEntries(rowsOf(article.querySelector('table'))),
    folded: [...article.querySelectorAll('details')].map((details) => ({
      title: details.querySelector('summary')?.textContent ?? '',
      open: details.open,
      rows: rowsOf(details),
    })),
    links: [...article.querySelectorAll('a')].map((link) => link.getAttribute('href') ?? ''),
    foreign: [
      ...all.map(({ localName }) => localName).filter((name) => !known.has(name)),
      ...all.flatMap(({ attributes }) =>
        [...attributes].map(({ name }) => name).filter((name) => /^(on|style$|src$)/.test(name)),
      ),
    ],
  };
}
