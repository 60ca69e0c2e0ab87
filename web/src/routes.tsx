/** The screens, listed once. Each is loaded when it is first gone to. */
import {
  createRootRoute,
  createRoute,
  createRouter,
  lazyRouteComponent,
  redirect,
} from '@tanstack/react-router'
import { statementOf } from './account/statement'
import { projectToOpen } from './api/projects'
import { theUser } from './api/session'
import { filterOf } from './gallery/filter'
import { Frame } from './shell/frame'
import { Crashed, Missing } from './shell/troubles'
import { learn, wordsNow } from './words'

const root = createRootRoute({ notFoundComponent: Missing, errorComponent: Crashed })

interface Welcoming {
  /** Where to go once signed in: a path of the app. */
  to?: string
}

const welcome = createRoute({
  getParentRoute: () => root,
  path: '/sign-in',
  validateSearch: (search): Welcoming => ({
    to: typeof search.to === 'string' && /^\/(?!\/)/.test(search.to) ? search.to : undefined,
  }),
  beforeLoad: () => {
    if (theUser()) throw redirect({ to: '/' })
  },
  loader: learn,
  component: lazyRouteComponent(() => import('./welcome/welcome-screen'), 'WelcomeScreen'),
})

const signedIn = createRoute({
  getParentRoute: () => root,
  id: 'signed-in',
  component: Frame,
  beforeLoad: ({ location }) => {
    if (theUser()) return
    const to = location.href === '/' ? undefined : location.href
    throw redirect({ to: '/sign-in', search: { to } })
  },
})

const home = createRoute({
  getParentRoute: () => signedIn,
  path: '/',
  beforeLoad: async () => {
    const projectId = await projectToOpen(wordsNow().editor.firstProject)
    throw redirect({ to: '/p/$projectId', params: { projectId }, replace: true })
  },
})

interface Arriving {
  /** A generation to take as a reference. */
  use?: string
  /** An identity to generate with. */
  identity?: string
}

const editor = createRoute({
  getParentRoute: () => signedIn,
  path: '/p/$projectId',
  validateSearch: (search): Arriving => ({
    use: typeof search.use === 'string' ? search.use : undefined,
    identity: typeof search.identity === 'string' ? search.identity : undefined,
  }),
  component: lazyRouteComponent(() => import('./editor/editor-screen'), 'EditorScreen'),
})

const gallery = createRoute({
  getParentRoute: () => signedIn,
  path: '/gallery',
  loader: learn,
  validateSearch: filterOf,
  component: lazyRouteComponent(() => import('./gallery/gallery-screen'), 'GalleryScreen'),
})

const batches = createRoute({
  getParentRoute: () => signedIn,
  path: '/batches',
  loader: learn,
  component: lazyRouteComponent(() => import('./batches/batches-screen'), 'BatchesScreen'),
})

const batch = createRoute({
  getParentRoute: () => signedIn,
  path: '/batches/$batchId',
  loader: learn,
  component: lazyRouteComponent(() => import('./batches/batch-screen'), 'BatchScreen'),
})

const identities = createRoute({
  getParentRoute: () => signedIn,
  path: '/identities',
  loader: learn,
  component: lazyRouteComponent(() => import('./identities/identities-screen'), 'IdentitiesScreen'),
})

const newIdentity = createRoute({
  getParentRoute: () => signedIn,
  path: '/identities/new',
  loader: learn,
  component: lazyRouteComponent(() => import('./identities/new-identity'), 'NewIdentity'),
})

const identity = createRoute({
  getParentRoute: () => signedIn,
  path: '/identities/$identityId',
  loader: learn,
  component: lazyRouteComponent(() => import('./identities/identity'), 'IdentityScreen'),
})

const credits = createRoute({
  getParentRoute: () => signedIn,
  path: '/credits',
  loader: learn,
  validateSearch: statementOf,
  component: lazyRouteComponent(() => import('./account/credits-screen'), 'CreditsScreen'),
})

const account = createRoute({
  getParentRoute: () => signedIn,
  path: '/account',
  loader: learn,
  component: lazyRouteComponent(() => import('./account/account-screen'), 'AccountScreen'),
})

/** The named texts of an address's search part; what is no text is left out. */
function texts<Name extends string>(...names: Name[]) {
  return (search: Record<string, unknown>): { [name in Name]?: string } => {
    // A text that looks like a number comes as one.
    const told = (value: unknown) => (typeof value === 'number' ? String(value) : value)
    const found = names.map((name) => [name, told(search[name])] as const)
    return Object.fromEntries(
      found.filter(([, value]) => typeof value === 'string' && value !== ''),
    ) as { [name in Name]?: string }
  }
}

const operator = createRoute({
  getParentRoute: () => signedIn,
  path: '/console',
  loader: learn,
  component: lazyRouteComponent(() => import('./console/console-screen'), 'ConsoleScreen'),
})
const inConsole = { getParentRoute: () => operator }
const consoleParts = [
  createRoute({
    ...inConsole,
    path: '/',
    component: lazyRouteComponent(() => import('./console/overview'), 'OverviewPart'),
  }),
  createRoute({
    ...inConsole,
    path: '/jobs',
    validateSearch: texts('status', 'queue', 'type', 'user', 'error'),
    component: lazyRouteComponent(() => import('./console/jobs'), 'JobsPart'),
  }),
  createRoute({
    ...inConsole,
    path: '/jobs/$jobId',
    component: lazyRouteComponent(() => import('./console/job'), 'JobPart'),
  }),
  createRoute({
    ...inConsole,
    path: '/failures',
    component: lazyRouteComponent(() => import('./console/failures'), 'FailuresPart'),
  }),
  createRoute({
    ...inConsole,
    path: '/providers',
    component: lazyRouteComponent(() => import('./console/providers'), 'ProvidersPart'),
  }),
  createRoute({
    ...inConsole,
    path: '/models',
    component: lazyRouteComponent(() => import('./console/models'), 'ModelsPart'),
  }),
  createRoute({
    ...inConsole,
    path: '/workers',
    component: lazyRouteComponent(() => import('./console/workers'), 'WorkersPart'),
  }),
  createRoute({
    ...inConsole,
    path: '/users',
    validateSearch: texts('search'),
    component: lazyRouteComponent(() => import('./console/users'), 'UsersPart'),
  }),
  createRoute({
    ...inConsole,
    path: '/users/$userId',
    component: lazyRouteComponent(() => import('./console/user'), 'UserPart'),
  }),
  createRoute({
    ...inConsole,
    path: '/ledger',
    component: lazyRouteComponent(() => import('./console/ledger'), 'LedgerPart'),
  }),
  createRoute({
    ...inConsole,
    path: '/storage',
    component: lazyRouteComponent(() => import('./console/storage'), 'StoragePart'),
  }),
  createRoute({
    ...inConsole,
    path: '/logs',
    validateSearch: texts('function', 'level', 'request'),
    component: lazyRouteComponent(() => import('./console/logs'), 'LogsPart'),
  }),
] as const

const tree = root.addChildren([
  welcome,
  signedIn.addChildren([
    home,
    editor,
    gallery,
    batches,
    batch,
    identities,
    newIdentity,
    identity,
    credits,
    account,
    operator.addChildren(consoleParts),
  ]),
])

export const router = createRouter({
  routeTree: tree,
  defaultPreload: 'intent',
  scrollRestoration: false,
  defaultErrorComponent: Crashed,
})

declare module '@tanstack/react-router' {
  interface Register {
    router: typeof router
  }
}
