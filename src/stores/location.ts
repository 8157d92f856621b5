/** Where snapshots are kept, as the user writes it. */
export type StoreLocation =
  | { readonly kind: 'actions-cache' }
  | { readonly kind: 'artifact' }
  | { readonly kind: 'file'; readonly dir: string };

/** `actions-cache`, `artifact` or `file:DIR`. Throws an Error that says what is allowed. */
export function parseStore(text: string): StoreLocation {
  if (text === 'actions-cache' || text === 'artifact') return { kind: text };
  if (text.startsWith('file:') && text.length > 'file:'.length) {
    return { kind: 'file', dir: text.slice('file:'.length) };
  }
  throw new Error(`"${text}" is not a store: actions-cache, artifact, or file:DIR`);
}
