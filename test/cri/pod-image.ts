// The image of the tests' pods, made here, since there is no registry to pull one from: an archive as `docker save`
// writes it, around pod.c.
import { createHash } from 'node:crypto'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { execa } from 'execa'

export const podImage = 'fairlead.test/pod:1'

/** @returns the archive's path, in the directory given. */
export async function buildPodImage(directory: string): Promise<string> {
  const [rootfs, archive] = [join(directory, 'rootfs'), join(directory, 'archive')]
  for (const each of [rootfs, archive]) mkdirSync(each, { recursive: true })
  const program = join(rootfs, 'pod')
  await execa('musl-gcc', [
    '-std=gnu11',
    '-Os',
    '-static',
    '-s',
    '-Wall',
    '-Wextra',
    '-Werror',
    '-o',
    program,
    join(import.meta.dirname, 'pod.c'),
  ])
  await execa('tar', ['-C', rootfs, '-cf', join(archive, 'layer.tar'), 'pod'])
  const layer = readFileSync(join(archive, 'layer.tar'))
  const config = {
    architecture: process.arch === 'x64' ? 'amd64' : process.arch,
    os: 'linux',
    // Without arguments it is what holds a sandbox.
    config: { Entrypoint: ['/pod'], Cmd: ['pause'] },
    rootfs: { type: 'layers', diff_ids: [`sha256:${createHash('sha256').update(layer).digest('hex')}`] },
  }
  writeFileSync(join(archive, 'config.json'), JSON.stringify(config))
  writeFileSync(
    join(archive, 'manifest.json'),
    JSON.stringify([{ Config: 'config.json', RepoTags: [podImage], Layers: ['layer.tar'] }]),
  )
  const path = join(directory, 'pod-image.tar')
  await execa('tar', ['-C', archive, '-cf', path, 'manifest.json', 'config.json', 'layer.tar'])
  return path
}
