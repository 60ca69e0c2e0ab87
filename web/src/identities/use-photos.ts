import { useEffect, useRef, useState } from 'react'
import { look } from './look'
import { begun, PHOTOS_MAX, type Photo, withDuplicates } from './photos'

export interface Photos {
  photos: Photo[]
  /** Takes as many as there is room for, and returns how many were left out. */
  add: (files: Iterable<File>) => number
  remove: (id: string) => void
  /** Notes what the server said of the photo at a place, from 0. */
  refuse: (place: number, reason: string) => void
}

/** The photos that were brought, each looked at in its turn. */
export function usePhotos(): Photos {
  const [photos, setPhotos] = useState<Photo[]>([])
  const known = useRef(photos)
  known.current = photos
  const queue = useRef(Promise.resolve())

  useEffect(
    () => () => {
      for (const { preview } of known.current) if (preview) URL.revokeObjectURL(preview)
    },
    [],
  )

  const put = (id: string, told: Partial<Photo>) =>
    setPhotos((now) =>
      withDuplicates(now.map((photo) => (photo.id === id ? { ...photo, ...told } : photo))),
    )

  function add(files: Iterable<File>): number {
    const brought = [...files]
    const taken = brought.slice(0, PHOTOS_MAX - known.current.length).map(begun)
    known.current = [...known.current, ...taken]
    setPhotos(known.current)
    for (const { id, file } of taken)
      queue.current = queue.current.then(async () =>
        put(id, { ...(await look(file)), isLooked: true }),
      )
    return brought.length - taken.length
  }

  function remove(id: string): void {
    const gone = photos.find((photo) => photo.id === id)
    if (gone?.preview) URL.revokeObjectURL(gone.preview)
    setPhotos((now) => withDuplicates(now.filter((photo) => photo.id !== id)))
  }

  function refuse(place: number, reason: string): void {
    const photo = photos[place]
    if (photo) put(photo.id, { trouble: 'refused', reason })
  }

  return { photos, add, remove, refuse }
}
