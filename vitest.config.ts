import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    projects: [
      // Pure code and fakes: beside the code they test.
      { test: { name: 'unit', include: ['src/**/*.test.ts'], testTimeout: 30_000 } },
      // The real kernel in namespaces of their own: root only, skipped by name without it.
      { test: { name: 'netns', include: ['test/**/*.test.ts'], testTimeout: 60_000, hookTimeout: 60_000, maxWorkers: 2 } },
    ],
  },
})
