/** How many of several things are looked at. */
export type Sample =
  | { readonly kind: 'count'; readonly count: number }
  | { readonly kind: 'share'; readonly percent: number };

/**
 * As many of `items` as the sample says, at least one where there is one, all equally likely, in their order.
 * @param random as `Math.random`
 */
export function takeSample<T>(
  items: readonly T[],
  sample: Sample,
  random: () => number = Math.random,
): T[] {
  const wanted =
    sample.kind === 'count' ? sample.count : Math.ceil((items.length * sample.percent) / 100);
  let missing = Math.min(Math.max(wanted, 1), items.length);
  // Each is taken with the chance that those still to be taken have among those that are left.
  return items.filter((_, at) => {
    const taken = random() * (items.length - at) < missing;
    if (taken) missing -= 1;
    return taken;
  });
}
