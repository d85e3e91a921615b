import { describeBaseStream } from './base-stream-scenario.ts';

describeBaseStream([17, 18]);
