// The kit's last steps: Mastodon is started on what was restored, and people look whether it is all there. What is left out here
// (queues of another state, what other servers have seen since) is found out by everybody at once.

import { checked, text, type KitSection } from './kit-section.ts';
import type { KitFacts } from './recovery-kit.ts';
import { isSchemaOf } from '../mastodon/releases.ts';
import { formatMoment } from '../text/moment.ts';

/** Which Mastodon made a backup. */
export interface KitMastodon {
  readonly schemaVersion: string;
  readonly release: string | null;
  /** The image that it ran from; left out: nobody has said. */
  readonly image?: string;
}

/** The release in a few words, by its image or as far as the schema tells it; null: neither does. */
export function releaseWords({ release, schemaVersion, image }: KitMastodon): string | null {
  if (image !== undefined) return image;
  if (release === null) return null;
  return `release ${release}${isSchemaOf(release, schemaVersion) ? '' : ' or something later'}`;
}

/** Both sections. */
export function restartSteps(facts: KitFacts): readonly KitSection[] {
  return [starting(facts), afterwards()];
}

function starting({ newest, secretsStored, timeZone }: KitFacts): KitSection {
  const mastodon = newest?.mastodon ?? null;
  const release = mastodon === null ? null : releaseWords(mastodon);
  return {
    title: 'Step 5. Settings, files, queues, feeds, start',
    blocks: [
      {
        kind: 'list',
        items: [
          secretsStored
            ? "Mastodon's settings: .env.production.restored is the .env.production beside docker-compose.yml by now; without Docker copy it into Mastodon's directory, for its user. Change in it what names the old machine (DB_HOST, REDIS_HOST and their like), never the secrets or LOCAL_DOMAIN."
            : "Mastodon's settings are not in the backups: look for the .env.production named above. Without the old SECRET_KEY_BASE everybody is logged out; without the old OTP_SECRET and ACTIVE_RECORD_ENCRYPTION_* nobody with two factors gets in.",
          `Mastodon: start ${release ?? 'the release'}${release === null ? '' : ', the one'} that made the backup (the image in docker-compose.yml, or the tag of a checkout that is installed as its documentation says, but for mastodon:setup); upgrade afterwards.`,
          'Uploaded files: put public/system back from its own backup, or check that the bucket of S3_BUCKET still has them.',
          'Redis must be empty: on the same host it has queues and feeds of another state.',
        ],
      },
      checked('With Docker:', [
        'docker compose up -d --wait redis',
        'docker compose exec -T redis redis-cli flushall < /dev/null',
        'docker compose up -d web streaming sidekiq',
        'docker compose run --rm -T web bin/tootctl feeds build < /dev/null',
      ]),
      checked('or without Docker, as root:', [
        'redis-cli flushall',
        'systemctl start mastodon-web mastodon-streaming mastodon-sidekiq',
        `su - mastodon -c 'cd live && RAILS_ENV=production bin/tootctl feeds build' < /dev/null`,
      ]),
      text(
        'It builds home feeds, from release 4.4 on those of lists too; before that lists fill with what comes. With Elasticsearch, type the last line again with search deploy instead of feeds build. Then point DNS at the new server.',
      ),
      text(
        `What other servers have seen ${newest === null ? 'since the backup' : `since ${formatMoment(newest.dataAt, timeZone)}`} is still there and no longer known here: posts of that time can only be deleted there by who runs them, follows of that time have to be made again, and what was deleted in it is back here alone. Tell your people.`,
      ),
    ],
  };
}

function afterwards(): KitSection {
  return {
    title: 'Step 6. Look whether it is all there',
    blocks: [
      {
        kind: 'list',
        items: [
          'Log in as somebody with two factors: that needs the right ACTIVE_RECORD_ENCRYPTION_* and OTP_SECRET.',
          'Look at an old post with a picture, write a new one, and see it arrive on another server.',
          'Set the backups up again, take one at once, and keep the one you restored. Retention removes nothing while there are backups of another server: when you are content with the new one, say so with mastodon-backup prune --accept-new-server.',
        ],
      },
    ],
  };
}
