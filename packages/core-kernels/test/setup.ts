import { useTestDevice } from '@qutlass/test-support';
import { Device } from '../src/index.js';

useTestDevice(Device);
