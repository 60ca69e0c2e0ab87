/** Why a job failed, and what to do, by its error code; for others, the server's own sentence. */
export const failures = {
  refused: 'The model refuses this. Change the prompt and run it again.',
  invalid: 'The model cannot do this as asked. Change the settings, or choose another model.',
  transient: 'The maker of this model did not answer as it should. Run it again in a moment.',
  quota: 'The maker of this model has too much to do. Run it again in a while.',
  misconfigured:
    'This server cannot use this model at the moment. Choose another one, or tell whoever runs the server.',
  worker_lost: 'The machine that worked on it went away. Run it again.',
  worker_error: 'The machine that worked on it made a mistake. Run it again.',
  expired: 'It waited too long for its turn. Run it again later.',
} as Record<string, string>
