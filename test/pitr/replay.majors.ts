import { describeReplay } from './replay-scenario.ts';

describeReplay([14, 17, 18]);
