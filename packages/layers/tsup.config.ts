import { library } from '../../config/tsup.js';

export default library('src/cli.ts');
