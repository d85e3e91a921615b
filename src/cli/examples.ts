// What `--help` of a command ends with: how it is typed, and the page that says more. Whoever has forgotten the order of arguments reads
// an example first, and a list of options last.

import type { Command } from 'commander';

interface Examples {
  /** What is typed after the program's name; one or two. */
  readonly typed: readonly string[];
  /** The page of the documentation, with the heading where it is one of many. */
  readonly page: string;
}

/** By the name of the command; a test holds that none is left out, that each example is understood, and that the page is there. */
export const examples: Readonly<Record<string, Examples>> = {
  daemon: { typed: ['daemon'], page: 'docs/schedule.md' },
  run: { typed: ['run', 'run --label before-upgrade --wait'], page: 'docs/how-a-run-works.md' },
  list: { typed: ['list', 'list --tier weekly --from local'], page: 'docs/what-is-stored.md' },
  verify: { typed: ['verify', 'verify latest:weekly --identity key.txt'], page: 'docs/what-is-stored.md' },
  compare: { typed: ['compare', 'compare 2026-11-23 --timeout 30m'], page: 'docs/restoring.md#what-would-change' },
  open: {
    typed: ['open', 'open latest --format csv -- "select id, username from accounts limit 10"'],
    page: 'docs/looking-into-a-snapshot.md',
  },
  restore: {
    typed: ['restore latest --to-database mastodon_restored', 'restore latest:monthly --output mastodon.dump'],
    page: 'docs/restoring.md',
  },
  pitr: { typed: ['pitr status', 'pitr base --wait'], page: 'docs/point-in-time-recovery.md' },
  drill: { typed: ['drill', 'drill latest:monthly --identity key.txt'], page: 'docs/drill.md' },
  prune: { typed: ['prune --dry-run', 'prune'], page: 'docs/retention.md' },
  lifecycle: { typed: ['lifecycle show', 'lifecycle apply'], page: 'docs/retention.md' },
  pin: { typed: ['pin latest', 'pin daily/2026-11-23T120000Z-4f1c2a'], page: 'docs/retention.md' },
  unpin: { typed: ['unpin daily/2026-11-23T120000Z-4f1c2a'], page: 'docs/retention.md' },
  health: { typed: ['health', 'health --json'], page: 'docs/health.md' },
  notify: { typed: ['notify test', 'notify test telegram'], page: 'docs/messages.md' },
  status: { typed: ['status', 'status --watch'], page: 'docs/health.md#the-status-page' },
  'recovery-kit': { typed: ['recovery-kit', 'recovery-kit --output kit.html'], page: 'docs/recovery-kit.md' },
  keygen: { typed: ['keygen --output signing_key'], page: 'docs/signing.md' },
  adopt: {
    typed: ['adopt daily/2026-11-23T120000Z-4f1c2a', 'adopt --all --identity key.txt'],
    page: 'docs/signing.md',
  },
  upgrade: { typed: ['upgrade check --to db18', 'upgrade rehearse --to db18'], page: 'docs/upgrading-postgresql.md' },
  config: { typed: ['config', 'config --json'], page: 'docs/settings.md' },
  doctor: { typed: ['doctor', 'doctor --json'], page: 'docs/troubleshooting.md' },
  completion: { typed: ['completion bash'], page: 'docs/commands.md#completion' },
};

/** Adds them to the help of each command; `called` is how the program is called where it is read. */
export function addExamples(program: Command, called: string): void {
  for (const command of program.commands) {
    const found = examples[command.name()];
    if (found === undefined) continue;
    const lines = found.typed.map((typed) => `  ${called} ${typed}\n`).join('');
    command.addHelpText('after', `\nExamples:\n${lines}\nMore about it: ${found.page}`);
  }
}
