// Version and commit, put in by build.ts.
import packageJson from '../../package.json' with { type: 'json' }

declare const __COMMIT__: string

export const version = `fairlead ${packageJson.version} (${typeof __COMMIT__ === 'undefined' ? 'from source' : __COMMIT__})`
