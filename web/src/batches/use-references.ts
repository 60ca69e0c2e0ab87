/** Pictures that a batch goes by: uploaded as they are chosen. */
import { useState } from 'react'
import { type Stored, uploadPicture } from '@/api/pictures'
import { refusalOf } from '@/api/refusal'
import { useSentence } from '@/shell/sentence'
import { toast } from '@/ui/toast'

export interface ReferencePicture {
  id: string
  /** A URL of this page, to show it at once. */
  preview: string
  stored: Stored | null
}

export function useReferences() {
  const sentence = useSentence()
  const [pictures, setPictures] = useState<readonly ReferencePicture[]>([])

  async function add(file: File) {
    const id = crypto.randomUUID()
    const preview = URL.createObjectURL(file)
    setPictures((before) => [...before, { id, preview, stored: null }])
    try {
      const stored = await uploadPicture(file, () => {})
      setPictures((now) => now.map((one) => (one.id === id ? { ...one, stored } : one)))
    } catch (error) {
      toast.error(sentence(await refusalOf(error)))
      remove(id)
    }
  }

  function remove(id: string) {
    setPictures((before) => {
      const gone = before.find((one) => one.id === id)
      if (gone) URL.revokeObjectURL(gone.preview)
      return before.filter((one) => one.id !== id)
    })
  }

  return {
    pictures,
    isReady: pictures.every(({ stored }) => stored),
    names: pictures.flatMap(({ stored }) => (stored ? `${stored.bucket}/${stored.path}` : [])),
    add: (files: Iterable<File>) => {
      for (const file of files) void add(file)
    },
    remove,
  }
}
