import { useEffect } from 'react'
import { useIdentities } from '@/api/identities'
import { useEditorStore } from './store'

/** Keeps the identities of the store as the rows say: those that can be generated with. */
export default function IdentityFeed() {
  const store = useEditorStore()
  const { rows } = useIdentities()
  useEffect(() => {
    store.setState({ identities: rows.filter(({ status }) => status === 'ready') })
  }, [store, rows])
  return null
}
