// 14 frames it in one way, all later ones in another; `npm run test:pitr` has the others.

import { describeBaseStream } from './base-stream-scenario.ts';

describeBaseStream([14, 15]);
