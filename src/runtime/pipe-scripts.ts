import type { LeftOut } from '../snapshot/manifest.ts';

/** What a helper says first when its tar is GNU tar. */
export const ready = 'gnu';

/** Root inside, but only over files. */
export const capabilities = {
  save: ['DAC_OVERRIDE'],
  restore: ['CHOWN', 'DAC_OVERRIDE', 'FOWNER', 'FSETID'],
} as const;

/** Names are bytes to us: with another locale GNU tar would translate them. */
export const helperEnv = { LC_ALL: 'C', TAR_OPTIONS: '' };

/** Through these it says in one line which tar it has, and sends or gets the tar stream. */
export const answerFifo = 'answer';
export const dataFifo = 'data';

/** Where it complains: the container's own log is on the disk of the engine, which may be full. */
export const complaintsFile = 'said';

/** Whatever else is there, it is not the folder with our FIFOs: an engine in a virtual machine has its own. */
const shared = `[ -p /scratch/${answerFifo} ] && [ -p /scratch/${dataFifo} ] || exit 4
exec 2>>/scratch/${complaintsFile}`;

/**
 * Each script opens the FIFOs and says in one line which tar this is: the probe of the whole way. Only GNU tar will do.
 * busybox cuts off owners from 2^24 on and times before 1970 when it saves; when it restores, it leaves symlinks to the
 * wrong owner and changes the times of folders with links in them (seen in 1.35 and 1.37).
 */
const flavour = `case "$(tar --version 2>&1)" in *'GNU tar'*) echo ${ready} ;; *) echo other; exit 3 ;; esac`;

/** As much at a time as a pipe holds, instead of 10 kB. */
const records = '--blocking-factor=128';

/**
 * The same tree must give the same bytes: hence `--sort=name`, the fixed name of extended headers (the default has a
 * process number in it), and `exec`, for the names of sparse files have one too, and process 1 is always process 1.
 * Its arguments say what tar need not even read; what comes of it is filtered all the same.
 */
const save = `${shared}
exec 3>/scratch/${dataFifo} >/scratch/${answerFifo}
${flavour}
exec >&3 3>&-
cd /volume
exec tar --create --file=- ${records} --format=posix \\
  --pax-option=exthdr.name=%d/PaxHeaders/%f,delete=atime,delete=ctime \\
  --sort=name --numeric-owner --sparse --acls --xattrs --xattrs-include='user.*' "$@" .`;

const restore = `${shared}
exec 3</scratch/${dataFifo} >/scratch/${answerFifo}
${flavour}
exec >/dev/null
cd "/volume/$FOLDER"
exec tar --extract --file=- ${records} --preserve-permissions --same-owner --numeric-owner \\
  --acls --xattrs --xattrs-include='user.*' <&3`;

/** GNU tar's way to say it: https://www.gnu.org/software/tar/manual/html_node/controlling-pattern_002dmatching.html */
export function excluding(leaveOut: readonly LeftOut[]): string[] {
  return leaveOut.length === 0
    ? []
    : [
        ...['--anchored', '--wildcards', '--no-wildcards-match-slash'],
        ...leaveOut.map(({ pattern }) => `--exclude=./${pattern}`),
      ];
}

export const scripts = { save, restore } as const;
