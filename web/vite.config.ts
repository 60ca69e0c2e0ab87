import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { brotliCompressSync, gzipSync } from 'node:zlib'
import tailwindcss from '@tailwindcss/vite'
import react from '@vitejs/plugin-react'
import type { Plugin } from 'vite'
import { defineConfig } from 'vitest/config'

const OUT = '../tintype/web/dist'
// The server that `npm run dev` stands in front of.
const SERVER = process.env.TINTYPE_URL ?? 'http://127.0.0.1:54321'
const DOORS = ['/auth', '/functions', '/realtime', '/rest', '/storage', '/config.json']

export default defineConfig({
  plugins: [react(), tailwindcss(), compressed()],
  resolve: { alias: { '@': join(import.meta.dirname, 'src') } },
  build: {
    outDir: OUT,
    emptyOutDir: true,
    manifest: true,
    target: 'es2022',
    chunkSizeWarningLimit: 700,
    rolldownOptions: {
      output: {
        codeSplitting: {
          groups: [
            { name: 'react', test: /node_modules\/(react|react-dom|scheduler)\//, priority: 3 },
            {
              name: 'flow',
              test: /node_modules\/(@xyflow|d3-(drag|selection|transition|zoom))/,
              priority: 2,
            },
            { name: 'charts', test: /node_modules\/(recharts|victory-vendor)/, priority: 2 },
          ],
        },
      },
    },
  },
  server: { proxy: Object.fromEntries(DOORS.map((door) => [door, { target: SERVER, ws: true }])) },
  test: { include: ['src/**/*.test.ts'] },
})

/** Leaves a .br and a .gz beside every file that shrinks, so that the server compresses nothing. */
function compressed(): Plugin {
  return {
    name: 'compressed',
    apply: 'build',
    closeBundle() {
      for (const file of filesBelow(OUT)) {
        if (!/\.(js|css|html|svg|json)$/.test(file)) continue
        const raw = readFileSync(file)
        writeFileSync(`${file}.br`, brotliCompressSync(raw))
        writeFileSync(`${file}.gz`, gzipSync(raw, { level: 9 }))
      }
    },
  }
}

function filesBelow(folder: string): string[] {
  return readdirSync(folder).flatMap((name) => {
    const path = join(folder, name)
    if (name.startsWith('.')) return []
    return statSync(path).isDirectory() ? filesBelow(path) : [path]
  })
}
