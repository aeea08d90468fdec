import { mergeConfig } from 'vitest/config';
import shared from '../../config/vitest.js';

export default mergeConfig(shared, { test: { globalSetup: 'src/registry.ts' } });
