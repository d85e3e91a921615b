// Which processes belong to a stage: by /proc, for what is looked for is what nobody waits for any more.

import { readFileSync, readdirSync } from 'node:fs';

/** A process. */
export interface SeenProcess {
  readonly id: number;
  readonly name: string;
  readonly command: string;
}

/** What tells that a process is of this stage: its directory, or the line to the database, in arguments or environment. */
export interface StageMarks {
  readonly home: string;
  readonly port: number;
}

/** All processes of the stage but this one. The servers that stand behind the doors bear none of its marks. */
export function processesOf({ home, port }: StageMarks): readonly SeenProcess[] {
  const marks = [`${home}/`, `PGPORT=${port}`];
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .flatMap((name): readonly SeenProcess[] => {
      const text = (file: string): string => {
        try {
          return readFileSync(`/proc/${name}/${file}`, 'utf8');
        } catch {
          return '';
        }
      };
      const command = text('cmdline').replaceAll('\0', ' ').trim();
      // A dead one that nobody has asked for has neither.
      if (command === '') return [];
      const all = `${command}\0${text('environ')}`;
      if (!marks.some((mark) => all.includes(mark))) return [];
      return [{ id: Number(name), name: text('comm').trim(), command }];
    });
}

/** The ids of this process's children that are called so. */
export function childrenNamed(name: string): readonly number[] {
  // By far cheaper than to look at all there are, and looked it is every few milliseconds.
  return readFileSync(`/proc/self/task/${process.pid}/children`, 'utf8')
    .split(' ')
    .filter((id) => {
      try {
        return id !== '' && readFileSync(`/proc/${id}/comm`, 'utf8').trim() === name;
      } catch {
        return false;
      }
    })
    .map(Number);
}
