/** `1:11.8.3+maria~deb13` -> `11.8.3`; `undefined` where there is no number. */
export function plainVersion(text: string | undefined): string | undefined {
  return text?.match(/(?<![\d.])\d+(?:\.\d+)+|^\d+$/)?.[0];
}

/** `[major, minor]`; what is not said counts as 0. */
export function seriesOf(version: string): readonly [number, number] {
  const [major = 0, minor = 0] = version.split('.').map((part) => Number.parseInt(part, 10));
  return [major, minor];
}

/** The rule of servers that read the data of all that came before them, and of nothing newer. */
export function downgradeProblem(data: string, image: string): string | undefined {
  const [dataMajor, dataMinor] = seriesOf(data);
  const [imageMajor, imageMinor] = seriesOf(image);
  const older = imageMajor < dataMajor || (imageMajor === dataMajor && imageMinor < dataMinor);
  return older
    ? `the data is of version ${data}, which ${image} cannot read (no downgrade)`
    : undefined;
}
