// Scripts that complete the command in bash, zsh and fish, written from the table of commands itself: a list by hand would know
// last year's options. They ask nothing of the program while somebody types: under Docker each answer would take a second.

import type { Argument, Command, Option } from 'commander';
import { tiers } from '../schedule/tier.ts';

/** Shells that a script can be had for. */
export const shells = ['bash', 'zsh', 'fish'] as const;

/** A shell. */
export type Shell = (typeof shells)[number];

interface Choice {
  readonly word: string;
  readonly description: string;
}

interface Completed extends Choice {
  readonly options: readonly (Choice & { readonly takesValue: boolean; readonly values: readonly string[] })[];
  /** What may stand there besides options. */
  readonly words: readonly string[];
}

/** Words by the name of an argument or of an option's value. */
const wordsByName: Readonly<Record<string, readonly string[]>> = {
  tier: tiers,
  store: ['s3', 'local'],
  snapshot: ['latest', ...tiers.map((tier) => `latest:${tier}`)],
};

/** What a command's first word may be, where its parser alone knows. */
const actionsByCommand: Readonly<Record<string, readonly string[]>> = {
  lifecycle: ['show', 'apply'],
  upgrade: ['check', 'rehearse', 'run'],
  pitr: ['status', 'base', 'verify'],
};

/** The script for a shell; `name` is the command that it completes. */
export function completionScript(program: Command, shell: Shell): string {
  const name = program.name();
  const commands = program.commands.map(describeCommand);
  switch (shell) {
    case 'bash':
      return bashScript(name, commands);
    case 'zsh':
      return zshScript(name, commands);
    case 'fish':
      return fishScript(name, commands);
    default:
      return shell satisfies never;
  }
}

function describeCommand(command: Command): Completed {
  const word = command.name();
  const options = command.options.map((option) => ({
    word: option.long ?? option.short ?? '',
    description: option.description,
    takesValue: option.required || option.optional,
    values: valuesOf(option),
  }));
  const words = [...command.registeredArguments.flatMap(wordsOf), ...(actionsByCommand[word] ?? [])];
  const help = { word: '--help', description: 'what it does', takesValue: false, values: [] };
  return { word, description: command.description(), options: [...options, help], words };
}

function valuesOf({ argChoices, flags }: Option): readonly string[] {
  return argChoices ?? wordsByName[/[<[]([\w-]+)/.exec(flags)?.[1] ?? ''] ?? [];
}

function wordsOf(argument: Argument): readonly string[] {
  return argument.argChoices ?? wordsByName[argument.name()] ?? [];
}

// COMP_WORDS splits at colons, as in latest:daily, so the word is taken from the line itself. Works in bash 3.2, as macOS has it.
function bashScript(name: string, commands: readonly Completed[]): string {
  const func = `_${name.replaceAll('-', '_')}`;
  const cases = commands.map(({ word, options, words }) => {
    const values = options
      .filter(({ takesValue }) => takesValue)
      .map((one) => `${word}\\ ${one.word}) words='${one.values.join(' ')}' ;;`);
    const all = [...words, ...options.map((one) => one.word)].join(' ');
    return [...values, `${word}\\ *) words='${all}' ;;`].map((line) => `      ${line}`).join('\n');
  });
  return `# bash completion of ${name}
${func}() {
  local line="\${COMP_LINE:0:COMP_POINT}" words
  local word="\${line##*[[:space:]]}"
  if [ "$COMP_CWORD" -le 1 ]; then
    words='${commands.map(({ word }) => word).join(' ')}'
  else
    case "\${COMP_WORDS[1]} \${COMP_WORDS[COMP_CWORD - 1]}" in
${cases.join('\n')}
    esac
  fi
  COMPREPLY=($(compgen -W "$words" -- "$word"))
  # What stands before a colon is on the line already.
  case "$word" in *:*) COMPREPLY=("\${COMPREPLY[@]#"\${word%:*}:"}") ;; esac
}
complete -o default -F ${func} ${name}
`;
}

function zshScript(name: string, commands: readonly Completed[]): string {
  const func = `_${name.replaceAll('-', '_')}`;
  const described = (choices: readonly Choice[]): string =>
    choices.map(({ word, description }) => quote(`${word.replaceAll(':', '\\:')}:${description}`)).join(' ');
  const cases = commands.map(({ word, options, words }) => {
    const values = options
      .filter(({ takesValue }) => takesValue)
      .map(
        (one) => `        ${one.word}) ${one.values.length === 0 ? '_files' : `compadd -- ${one.values.join(' ')}`} ;;`,
      );
    return `    ${word})
      case $words[CURRENT-1] in
${values.join('\n')}
        *)
          choices=(${described(options)})
          _describe -o option choices
          ${words.length === 0 ? '_files' : `compadd -- ${words.join(' ')}`} ;;
      esac ;;`;
  });
  return `#compdef ${name}
${func}() {
  local -a choices
  if (( CURRENT == 2 )); then
    choices=(${described(commands)})
    _describe command choices
    return
  fi
  case $words[2] in
${cases.join('\n')}
  esac
}
if [ "$funcstack[1]" = "${func}" ]; then ${func} "$@"; else compdef ${func} ${name}; fi
`;
}

function fishScript(name: string, commands: readonly Completed[]): string {
  // By the first word alone: fish's own test takes the 'run' of 'upgrade run' for the command of that name.
  const isIn = `__${name.replaceAll('-', '_')}_is_in`;
  const definition = `function ${isIn}
  set -l words (commandline -opc)
  test "$words[2]" = $argv[1]
end`;
  const escape = (text: string): string => `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
  const lines = commands.flatMap(({ word, description, options, words }) => {
    const within = `complete -c ${name} -n '${isIn} ${word}'`;
    return [
      `complete -c ${name} -f -n __fish_use_subcommand -a ${word} -d ${escape(description)}`,
      ...(words.length === 0 ? [] : [`${within} -f -a '${words.join(' ')}'`]),
      ...options.map((one) => {
        const value = one.takesValue ? (one.values.length === 0 ? ' -r' : ` -x -a '${one.values.join(' ')}'`) : '';
        return `${within} -l ${one.word.replace(/^-+/, '')}${value} -d ${escape(one.description)}`;
      }),
    ];
  });
  return `# fish completion of ${name}\n${definition}\n${lines.join('\n')}\n`;
}

function quote(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
