// The stock way as one script that lies beside the backups. Whoever may write the bucket could put another one there: its SHA-256
// stands on the page, and nothing is run that does not have it.

import { checked, commands, text, type KitBlock, type KitSection } from './kit-section.ts';
import type { KitFacts } from './recovery-kit.ts';
import { restoreScriptName, restoreScriptSha256 } from './restore-script.ts';
import { shellQuote } from './shell-word.ts';
import { type StockBucket } from './stock-objects.ts';

/** The section; none where the bucket's folder needs escapes. */
export function withScript(facts: KitFacts): readonly KitSection[] {
  const { bucket, directory } = facts;
  const hasBucket = bucket !== null && /^[\w./-]*$/.test(bucket.prefix);
  if (!hasBucket && directory === null) return [];
  const fromBucket = hasBucket ? bucketLines(bucket) : null;
  const lines = [...common(facts), ...(fromBucket ?? directoryLines(directory ?? ''))];
  const run = [`echo '${restoreScriptSha256}  restore.sh' | sha256sum -c`, 'sh restore.sh'];
  const code: KitBlock = {
    kind: 'code',
    label: 'These lines, for a phone',
    text: [...lines, ...run]
      .map((line) => `${line} &&`)
      .join('\n')
      .replace(/ &&$/, ''),
  };
  return [
    {
      title: 'Steps 2 to 4 by one script of stock tools',
      blocks: [
        code,
        text(
          `It lies beside the backups as ${restoreScriptName}, can be read, asks for what it lacks, and overwrites nothing; the last pages do the same line by line. How it reaches a superuser of the new server, in the directory of docker-compose.yml, or as root without Docker, or with a server elsewhere by PGHOST, PGUSER and PGPASSWORD:`,
        ),
        commands('With Docker:', [`export PG='docker compose exec -T -e PGUSER=postgres db'`]),
        commands('or without Docker, as root:', [`export PG='runuser -u postgres --'`]),
        checked('Fetch it, look whether it is the one that this page knows, and run it:', [...lines, ...run]),
        checked('With Docker on a new machine, where it has unpacked all and says that no server answers:', [
          'project',
          'sh restore.sh',
        ]),
      ],
    },
  ];
}

function common({ instance, signers }: KitFacts): readonly string[] {
  const trusted = signers.map((signer) => shellQuote(`mastodon-backup ${signer}`)).join(' ');
  return [
    `export INSTANCE=${shellQuote(instance)}`,
    ...(signers.length === 0 ? [] : [`printf '%s\\n' ${trusted} > allowed_signers`]),
  ];
}

function bucketLines(bucket: StockBucket): readonly string[] {
  const address = `${bucket.endpoint ?? `https://s3.${bucket.region}.amazonaws.com`}/${bucket.bucket}`;
  return [
    `export BUCKET=${shellQuote(address)} PREFIX=${shellQuote(bucket.prefix)} REGION=${shellQuote(bucket.region)}`,
    `curl -fsS -H 'x-amz-content-sha256: UNSIGNED-PAYLOAD' --aws-sigv4 aws:amz:\${REGION}:s3 --user "$AWS_ACCESS_KEY_ID:$AWS_SECRET_ACCESS_KEY" -o restore.sh "$BUCKET/\${PREFIX}${restoreScriptName}"`,
  ];
}

function directoryLines(directory: string): readonly string[] {
  return [`export DIR=${shellQuote(directory)}`, `cp "$DIR/${restoreScriptName}" restore.sh`];
}
