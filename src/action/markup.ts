// HTML for job summaries. GitHub reads it as Markdown first, for which a block of HTML ends at the first empty line: what is
// escaped here holds no line break.

/** Longer than anything that somebody reads in a table. */
const textLimit = 300;
/** GitHub shows nothing of a summary of more than 1 MiB: so many rows of the longest texts have half of that. */
const rowsLimit = 100;

/** Controls, and what turns the direction of writing for what follows. */
const unshown = /[\p{Cc}\u2028\u2029\u202a-\u202e\u2066-\u2069]+/gu;

const entities: Readonly<Record<string, string>> = {
  ...{ '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' },
};

/** Anybody's text as code, in which GitHub looks for no mention, link, formula or emoji. */
export function code(text: string): string {
  const cut = text.length > textLimit ? `${text.slice(0, textLimit)}...` : text;
  const shown = cut.toWellFormed().replace(unshown, ' ');
  return `<code>${shown.replace(/[&<>"']/g, (character) => entities[character] ?? '')}</code>`;
}

/** A row for each pair, whose cells are HTML. A hundred are shown, and the number of the others. */
export function table(rows: readonly (readonly [string, string])[]): string {
  const more = rows.length - rowsLimit;
  const shown = [
    ...rows.slice(0, rowsLimit),
    ...(more > 0 ? [['...', `and ${more} more`] as const] : []),
  ];
  const lines = shown.map(
    ([name, value]) => `<tr><th align="left">${name}</th><td>${value}</td></tr>`,
  );
  return ['<table>', ...lines, '</table>'].join('\n');
}

/** Folded away under its title. */
export function details(title: string, content: string): string {
  return `<details><summary>${title}</summary>\n${content}\n</details>`;
}
