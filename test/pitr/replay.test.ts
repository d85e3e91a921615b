// One major of each scenario; `npm run test:pitr` has the others.

import { describeReplay } from './replay-scenario.ts';

describeReplay([15]);
