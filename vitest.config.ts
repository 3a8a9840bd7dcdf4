import { defineConfig } from 'vitest/config'
import { LongestFirst } from './test/longest-first.ts'

/** Of both projects together. Kernel tests mostly wait: two leave half of two cores idle. */
const maxWorkers = 3

export default defineConfig({
  test: {
    sequence: { sequencer: LongestFirst },
    projects: [
      // Pure code and fakes: beside the code they test. They share their modules, whose import costs twice what the
      // tests do: what a test changes of the process, it puts back.
      { test: { name: 'unit', include: ['src/**/*.test.ts'], testTimeout: 60_000, isolate: false, maxWorkers } },
      // The real kernel in namespaces of their own: root only, skipped by name without it. Time limits bound what
      // hangs, also on a machine that has other work.
      {
        test: {
          name: 'netns',
          include: ['test/**/*.test.ts'],
          globalSetup: ['test/bundled-programs.ts'],
          testTimeout: 180_000,
          hookTimeout: 180_000,
          maxWorkers,
        },
      },
    ],
  },
})
