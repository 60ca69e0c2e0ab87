import { useNavigate, useSearch } from '@tanstack/react-router'
import { Search, UsersRound } from 'lucide-react'
import type { FormEvent } from 'react'
import { usePages } from '@/api/operator'
import type { Somebody } from '@/api/operator-rows'
import { More } from '@/shell/reading'
import { Badge } from '@/ui/badge'
import { Button } from '@/ui/button'
import { Field, Input } from '@/ui/field'
import { Page } from '@/ui/page'
import { Empty } from '@/ui/states'
import { Cell, Head, Line, Table } from '@/ui/table'
import { useFormat, useWords } from '@/words'
import { UserLink } from './pieces'
import { Shown } from './shown'

/** Who is there, and with what credits. */
export function UsersPart() {
  const { console: told } = useWords()
  const words = told.users
  const { search } = useSearch({ from: '/signed-in/console/users' })
  const navigate = useNavigate()
  const pages = usePages('users', { search })
  const users = pages.data?.pages.flatMap((page) => page.users) ?? []

  function find(event: FormEvent<HTMLFormElement>) {
    event.preventDefault()
    const said = String(new FormData(event.currentTarget).get('search')).trim()
    void navigate({ to: '/console/users', search: { search: said || undefined } })
  }

  return (
    <Page title={told.parts.users} about={words.about}>
      <form onSubmit={find} key={search} className="flex max-w-md items-end gap-2">
        <Field label={words.search} className="flex-1">
          {(given) => (
            <Input
              {...given}
              name="search"
              defaultValue={search ?? ''}
              placeholder={words.searchHint}
              spellCheck={false}
              autoComplete="off"
            />
          )}
        </Field>
        <Button type="submit" icon={Search}>
          {words.search}
        </Button>
      </form>
      <Shown of={pages}>
        {() =>
          users.length === 0 ? (
            <Empty icon={UsersRound} title={words.empty} />
          ) : (
            <>
              <UsersTable users={users} />
              <More of={pages} />
            </>
          )
        }
      </Shown>
    </Page>
  )
}

function UsersTable({ users }: { users: Somebody[] }) {
  const { console: told } = useWords()
  const words = told.users
  const format = useFormat()
  return (
    <Table label={told.parts.users}>
      <thead>
        <tr>
          <Head>{words.email}</Head>
          <Head>{words.joined}</Head>
          <Head>{words.seen}</Head>
          <Head className="text-right">{words.available}</Head>
          <Head className="text-right">{words.held}</Head>
          <Head className="text-right">{words.today}</Head>
        </tr>
      </thead>
      <tbody>
        {users.map((one) => (
          <Line key={one.id}>
            <Cell>
              <UserLink id={one.id} email={one.email} /> <Marks user={one} />
            </Cell>
            <Cell className="whitespace-nowrap">{format.day(one.createdAt)}</Cell>
            <Cell className="whitespace-nowrap">
              {one.lastSignInAt ? format.since(one.lastSignInAt) : '–'}
            </Cell>
            <Cell className="text-right">{format.number(one.available)}</Cell>
            <Cell className="text-right">{format.number(one.held)}</Cell>
            <Cell className="text-right">{format.number(one.jobsLastDay)}</Cell>
          </Line>
        ))}
      </tbody>
    </Table>
  )
}

export function Marks({ user }: { user: Somebody }) {
  const { console: told } = useWords()
  return (
    <>
      {user.isAnonymous && <Badge>{told.users.guest}</Badge>}
      {user.isPremium && <Badge tone="accent">{told.users.premium}</Badge>}
    </>
  )
}
