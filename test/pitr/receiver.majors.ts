import { describeReceiver } from './receiver-scenario.ts';

describeReceiver([14, 17, 18]);
