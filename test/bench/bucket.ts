// An S3 server in a process of its own, so that what is measured beside it is not measured with it: says its settings as one line of
// JSON, and runs until its stdin ends.

import { startS3 } from '../support/s3-server.ts';

await using s3 = await startS3();
process.stdout.write(`${JSON.stringify(s3.environment)}\n`);
for await (const _ of process.stdin) continue;
