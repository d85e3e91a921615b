// Everything between the program and its bucket: silence, resets, truncated answers, errors, garbage, answers that are lost when
// the deed is done, pages that come again, and bytes that trickle.

import type { DoorAction, SeenRequest } from '../../support/s3-server.ts';
import type { Chance } from './chance.ts';
import type { Fault } from './fault.ts';

const isFile = ({ path: at }: SeenRequest, ending: string): boolean => at.endsWith(ending);
const isUpload = ({ query }: SeenRequest): boolean => query.has('uploadId') || query.has('uploads');

/** Kinds of requests that a fault may be about. */
const targets: Readonly<Record<string, (request: SeenRequest) => boolean>> = {
  'any request': () => true,
  listings: (request) => request.method === 'GET' && request.query.has('list-type'),
  'reads of manifests': (request) => request.method === 'GET' && isFile(request, '.json'),
  'reads of dumps': (request) => request.method === 'GET' && request.path.includes('.dump'),
  'HEAD requests': (request) => request.method === 'HEAD',
  'writes of manifests': (request) => request.method === 'PUT' && isFile(request, '.json'),
  'writes of dumps': (request) => request.method === 'PUT' && request.path.includes('.dump'),
  deletions: (request) => request.method === 'DELETE' && !isUpload(request),
  'multipart requests': isUpload,
};

interface Drawn {
  readonly kind: string;
  readonly action: (request: SeenRequest) => DoorAction;
}

/** Draws one. */
export function drawNetworkFault(chance: Chance): Fault {
  const target = chance.weighted([
    [4, 'any request'],
    [2, 'listings'],
    [2, 'reads of manifests'],
    [3, 'reads of dumps'],
    [1, 'HEAD requests'],
    [4, 'writes of manifests'],
    [3, 'writes of dumps'],
    [2, 'deletions'],
    [3, 'multipart requests'],
  ] as const);
  const { kind, action } = drawAction(chance);
  const isRepeat = kind === 'repeated page';
  const about = isRepeat ? 'listings' : target;
  const first = chance.weighted([
    [3, 1],
    [2, chance.whole(1, 4)],
    [1, chance.whole(1, 12)],
  ] as const);
  const drawnTimes = chance.weighted([
    [3, 1],
    [2, 2],
    [2, 3],
    [3, Number.POSITIVE_INFINITY],
  ] as const);
  // A listing without an end is for the store's own tests.
  const many = isRepeat ? Math.min(drawnTimes, 3) : drawnTimes;
  const times = many === 1 ? 'once' : many === Number.POSITIVE_INFINITY ? 'from then on' : `${many} times`;
  return {
    family: 'network',
    kind,
    detail: `${kind} for ${about}, from number ${first}, ${times}`,
    spawns: false,
    wounds: 's3',
    async begin({ s3 }) {
      let count = 0;
      s3.rule((request) => {
        if (targets[about]?.(request) !== true) return { kind: 'pass' };
        count += 1;
        return count < first || count >= first + many ? { kind: 'pass' } : action(request);
      });
      return { [Symbol.asyncDispose]: async () => s3.rule(() => ({ kind: 'pass' })) };
    },
  };
}

function drawAction(chance: Chance): Drawn {
  const afterBytes = chance.happens(0.3) ? 0 : chance.whole(1, 400_000);
  const error = chance.one([
    [500, 'InternalError'],
    [503, 'SlowDown'],
    [503, 'ServiceUnavailable'],
    [403, 'AccessDenied'],
    [403, 'SignatureDoesNotMatch'],
    [404, 'NoSuchKey'],
    [404, 'NoSuchBucket'],
    [429, 'TooManyRequests'],
    [409, 'OperationAborted'],
    [412, 'PreconditionFailed'],
    [400, 'BadDigest'],
  ] as const);
  const plain =
    (kind: string, action: DoorAction): (() => Drawn) =>
    () => ({ kind, action: () => action });
  return chance.weighted<() => Drawn>([
    [2, plain('hang', { kind: 'hang' })],
    [2, plain('reset', { kind: 'drop' })],
    [2, plain('truncated', { kind: 'cut', afterBytes })],
    [1, plain('stalls in its middle', { kind: 'stall', afterBytes })],
    [4, plain(`answer ${error[0]}`, { kind: 'answer', status: error[0], code: error[1] })],
    [2, () => garbage(chance)],
    [2, plain('flipped bit', { kind: 'flip', atShare: chance.real() })],
    [4, plain('answer lost', { kind: 'lose' })],
    [1, () => ({ kind: 'repeated page', action: () => ({ kind: 'rewrite', change: repeatPage }) })],
    [
      1,
      plain('slow bytes', { kind: 'trickle', chunkBytes: chance.whole(8_000, 200_000), pauseMs: chance.whole(1, 40) }),
    ],
    [1, plain('wrong ETag', { kind: 'headers', headers: { etag: chance.one(['"0"', 'W/"0"', '']) } })],
  ])();
}

const pages = [
  '',
  '<html><body>Welcome to the console</body></html>',
  '{"message":"no such thing"}',
  '<?xml version="1.0" encoding="UTF-8"?><ListBucketResult><Name>backups</Name>',
  '\u0000\u0001\u0002',
];

function garbage(chance: Chance): Drawn {
  const text = chance.one(pages);
  const cutTo = chance.real();
  const isCut = chance.happens(0.3);
  return {
    kind: 'garbage',
    action: () => ({
      kind: 'rewrite',
      change: (answer) => (isCut ? answer.slice(0, Math.floor(answer.length * cutTo)) : text),
    }),
  };
}

// A listing that says that there is more, and means the same again.
function repeatPage(answer: string): string {
  return answer
    .replace('<IsTruncated>false</IsTruncated>', '<IsTruncated>true</IsTruncated>')
    .replace('</ListBucketResult>', '<NextContinuationToken>again</NextContinuationToken></ListBucketResult>');
}
