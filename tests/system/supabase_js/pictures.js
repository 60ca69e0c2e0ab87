// Pictures to upload, and how large a picture is.
import { deflateSync, crc32 } from 'node:zlib'

const number = (value) => {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value)
  return bytes
}
const chunk = (kind, data) => {
  const body = Buffer.concat([Buffer.from(kind), data])
  return Buffer.concat([number(data.length), body, number(crc32(body))])
}

// Returns a PNG of a gradient.
export const aPicture = (width = 64, height = 48) => {
  const rows = Buffer.alloc(height * (1 + 3 * width))
  for (let y = 0; y < height; y += 1)
    for (let x = 0; x < width; x += 1) {
      const at = y * (1 + 3 * width) + 1 + 3 * x
      rows.set([(x * 255) / width, (y * 255) / height, 128], at)
    }
  const header = Buffer.concat([number(width), number(height), Buffer.from([8, 2, 0, 0, 0])])
  return Buffer.concat([
    Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]),
    chunk('IHDR', header),
    chunk('IDAT', deflateSync(rows)),
    chunk('IEND', Buffer.alloc(0)),
  ])
}

// Returns the width and height that a PNG says it has.
export const sizeOf = async (png) => {
  const bytes = Buffer.from(await png.arrayBuffer())
  if (bytes.toString('latin1', 12, 16) !== 'IHDR') throw new Error('this is no PNG')
  return [bytes.readUInt32BE(16), bytes.readUInt32BE(20)]
}
