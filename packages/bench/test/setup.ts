import { Device } from '@qutlass/core-kernels';
import { useTestDevice } from '@qutlass/test-support';

useTestDevice(Device);
