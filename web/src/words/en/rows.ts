/** What the states of rows are called, wherever they are shown. */
export const rows = {
  statuses: {
    queued: 'Queued',
    processing: 'Generating',
    pending: 'Waiting',
    generating: 'Generating',
    training: 'Training',
    ready: 'Ready',
    completed: 'Done',
    failed: 'Failed',
    canceled: 'Canceled',
  } as Record<string, string>,
  entries: {
    grant: 'Added',
    hold: 'Held',
    capture: 'Spent',
    release: 'Released',
  } as Record<string, string>,
  pictures: (count: string) => `${count} pictures`,
}
